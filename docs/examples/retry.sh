#!/bin/sh
# Tries a client that lists images against "fakebatch serve": twice in the middle it is told to slow down.
#
#     fakebatch serve & sh retry.sh http://127.0.0.1:8888
#
# The client is the function `list_images`: put yours in its place. It needs curl.
set -eu

url=${1:-http://127.0.0.1:8888}
control=$url/_fakebatch
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
    echo "retry.sh: $1" >&2
    exit 1
}

# The client: pages of 100, by their markers; what is refused is asked for again, after a while.

list_images() {
    marker=
    while :; do
        get_page "$marker"
        tr ',{}' '\n\n\n' < "$folder/page" | sed -n 's/^"Id":"\(.*\)"$/\1/p'
        marker=$(sed -n 's/.*"NextMarker":"\([^"]*\)".*/\1/p' "$folder/page")
        [ -n "$marker" ] || return 0
    done
}

get_page() {
    attempt=1
    while :; do
        status=$(curl -sS -o "$folder/page" -w '%{http_code}' -G \
            --data-urlencode "Marker=$1" -d MaxItemCount=100 "$url/images")
        [ "$status" != 200 ] || return 0
        [ "$attempt" -lt "${ATTEMPTS:-5}" ] || fail "gave up after $attempt attempts: $(cat "$folder/page")"
        attempt=$((attempt + 1))
        sleep "${DELAY:-1}"
    done
}

# The test: what is at $control is the fake's own, and no call.

seconds=0
until curl -sf -o "$folder/health" "$control/health"; do
    [ "$seconds" -lt "${PATIENCE:-30}" ] || fail "nobody answers at $control/health; is fakebatch serve running?"
    seconds=$((seconds + 1))
    sleep 1
done

curl -sSf -X PUT "$control/world" --data-binary @- <<'END'
images:
  - {Id: "img-{n:04}", repeat: 250}
END

curl -sSf -o "$folder/step" "$control/script" --data-binary '{on: ListImages, calls: 2-3, fail: Throttling.User}'

list_images > "$folder/ids"
[ "$(sort -u "$folder/ids" | wc -l)" -eq 250 ] || fail "it should have listed 250 images, not $(wc -l < "$folder/ids")"
sort -c "$folder/ids" || fail "it should have listed them in their order"

curl -sSf -o "$folder/calls" "$control/calls?operation=ListImages"
statuses=$(tr ',{}' '\n\n\n' < "$folder/calls" | sed -n 's/^"status":\(.*\)$/\1/p' | tr '\n' ' ')
[ "$statuses" = "200 400 400 200 200 " ] || fail "it should have asked again after each refusal: $statuses"

curl -sSf -X POST "$control/reset"
echo "listed $(wc -l < "$folder/ids" | tr -d ' ') images, and asked again after 2 refusals"
