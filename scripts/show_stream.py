"""Shows the text of a streamed chat completion as it arrives (server-sent events on standard input), then its rate."""
import json
import signal
import sys
import time

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback

first = last = None
usage, text = {}, ""
for line in sys.stdin:
    if not line.startswith("data:"):
        if line.strip():
            text += line  # not a stream: an error object
        continue
    data = line[5:].strip()
    if data == "[DONE]":
        break
    event = json.loads(data)
    if "error" in event:
        sys.exit(f"\nthe server answered: {event['error']['message']}")
    usage = event.get("usage") or usage
    for choice in event["choices"]:
        if piece := choice["delta"].get("content"):
            last = time.monotonic()
            first = first or last
            print(piece, end="", flush=True)
print()
if first is None:
    sys.exit(f"no answer came{': ' + text.strip() if text else ''}")
tokens = usage.get("completion_tokens", 0)
if tokens > 1 and last > first:
    print(f"\n{tokens} tokens, {(tokens - 1) / (last - first):.1f} tokens/s", file=sys.stderr)
