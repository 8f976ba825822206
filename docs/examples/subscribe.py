"""Prints the id and the height of each block. Started again, it goes on after the last one that it printed.

Usage: python3 subscribe.py URL FILE, such as python3 subscribe.py http://127.0.0.1:19999/events/main last-id
"""

import http.client
import json
import pathlib
import sys
import time
import urllib.request

url, file = sys.argv[1], pathlib.Path(sys.argv[2])


def events(stream):
    """The events of a stream: their ids (None for a version) and their JSON."""
    data, event_id = [], None
    for line in stream:
        field, _, value = line.decode().rstrip("\n").partition(":")
        if field == "data":
            data.append(value)
        elif field == "id":
            event_id = int(value)
        elif field == "" and data and line == b"\n":  # A blank line: the event is complete.
            yield event_id, json.loads("\n".join(data))
            data, event_id = [], None


while True:
    last = int(file.read_text()) if file.exists() else 0
    try:
        # The sidecar sends something every 15 seconds. Silence for longer means that the connection is dead.
        with urllib.request.urlopen(f"{url}?start_from={last + 1}", timeout=45) as stream:
            for event_id, event in events(stream):
                if event_id is None:
                    continue  # {"ApiVersion": ..}
                if "BlockAdded" in event:  # "Shutdown" is a text, the others are objects with one key.
                    print(event_id, "block", event["BlockAdded"]["block"]["header"]["height"], flush=True)
                file.write_text(str(event_id))  # Only now: what was not printed yet comes again.
    except (OSError, http.client.HTTPException) as error:
        print(f"{error}; trying again", file=sys.stderr)
    time.sleep(1)
