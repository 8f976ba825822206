#!/usr/bin/env bash
# Prints the id and the height of each block. Started again, it goes on after the last one that it printed.
# Usage: subscribe.sh URL FILE, such as subscribe.sh http://127.0.0.1:19999/events/main last-id
set -euo pipefail
url=$1 file=$2

while true; do
    last=$(cat "$file" 2>/dev/null || echo 0)
    # An event is a line with data, then a line with its id. -f: an error answer is no stream.
    { curl -sfN --speed-time 45 --speed-limit 1 "$url?start_from=$((last + 1))" || true; } |
        while IFS= read -r line; do
            case $line in
                data:*) data=${line#data:} ;;
                id:*)
                    id=${line#id:}
                    if [[ $data =~ ^\{\"BlockAdded\".*\"height\":([0-9]+) ]]; then
                        echo "$id block ${BASH_REMATCH[1]}"
                    fi
                    echo "$id" >"$file" # Only now: what was not printed yet comes again.
                    ;;
            esac
        done
    sleep 1
done
