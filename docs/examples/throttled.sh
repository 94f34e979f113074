#!/bin/sh
# The scenario "throttled", with curl: a client that pages is refused twice, tries again, and misses nothing.
# Against a fake that somebody has started: fakebatch serve --port 8888
set -eu
base=${1:-http://127.0.0.1:8888}
control=$base/_fakebatch
page=$(mktemp)
trap 'rm -f "$page"' EXIT

# Wait until it is up.
curl --silent --fail --retry 20 --retry-delay 1 --retry-connrefused --output /dev/null "$control/health" ||
    { echo "there is no fake at $base" >&2; exit 1; }

# A world, and what goes wrong in it. Bodies are YAML or JSON.
curl --silent --show-error --fail --request PUT "$control/world" --data-binary @- <<'WORLD'
images:
  - {Id: "img-{n:03}", repeat: 120}
WORLD
curl --silent --show-error --fail --output /dev/null --request POST "$control/script" --data-binary @- <<'STEP'
{on: ListImages, calls: 2-3, fail: Throttling.User}
STEP

# The code under test: it lists all images, and tries again what is throttled, five times at most.
marker= listed=0 refused=0
while :; do
    status=$(curl --silent --output "$page" --write-out '%{http_code}' "$base/images?MaxItemCount=50&Marker=$marker")
    if [ "$status" != 200 ]; then
        refused=$((refused + 1))
        [ "$refused" -le 5 ] || { cat "$page" >&2; exit 1; }
        continue
    fi
    listed=$((listed + $(grep -o '"Id"' "$page" | wc -l)))
    marker=$(sed 's/.*"NextMarker":"\([^"]*\)".*/\1/' "$page")
    [ -n "$marker" ] || break
done

# What was asked.
calls=$(curl --silent --show-error --fail "$control/calls?operation=ListImages" | grep -o '"status":[0-9]*' | tr '\n' ' ')
curl --silent --show-error --fail --request POST "$control/reset"

echo "listed $listed images: $calls"
[ "$listed" = 120 ]
[ "$calls" = '"status":200 "status":400 "status":400 "status":200 "status":200 ' ]
