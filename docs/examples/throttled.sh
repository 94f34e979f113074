#!/bin/sh
# The scenario "throttled", with curl: a client that pages is refused twice, tries again, and misses nothing.
# Against a fake that somebody has started: fakebatch serve --port 8888
set -eu
base=${1:-http://127.0.0.1:8888}
control=$base/_fakebatch
page=$(mktemp)
trap 'rm -f "$page"' EXIT

# Wait until it is up.
tries=0
until curl --silent --fail --output /dev/null "$control/health"; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo "there is no fake at $base" >&2; exit 1; }
    sleep 0.1
done

# A world, and what goes wrong in it. Bodies are YAML or JSON.
curl --silent --show-error --fail --request PUT "$control/world" --data-binary @- <<'WORLD'
images:
  - {Id: "img-{n:03}", repeat: 120}
WORLD
curl --silent --show-error --fail --output /dev/null --request POST "$control/script" --data-binary @- <<'STEP'
{on: ListImages, calls: 2-3, fail: Throttling.User}
STEP

# The code under test: it lists all images, and tries again what is throttled.
marker= listed=0
while :; do
    status=$(curl --silent --output "$page" --write-out '%{http_code}' "$base/images?MaxItemCount=50&Marker=$marker")
    [ "$status" = 200 ] || continue
    listed=$((listed + $(grep --only-matching '"Id"' "$page" | wc -l)))
    marker=$(sed 's/.*"NextMarker":"\([^"]*\)".*/\1/' "$page")
    [ -n "$marker" ] || break
done

# What was asked.
calls=$(curl --silent --show-error --fail "$control/calls?operation=ListImages" | grep --only-matching '"status":[0-9]*' | tr '\n' ' ')
curl --silent --show-error --fail --request POST "$control/reset"

echo "listed $listed images: $calls"
[ "$listed" = 120 ]
[ "$calls" = '"status":200 "status":400 "status":400 "status":200 "status":200 ' ]
