# The original client of the events protocol. Reads events from standard input, one JSON object a line, sends each, and
# prints the result.
import json
import sys

from events_protocol import EventClient

client = EventClient(sys.argv[1])
for line in sys.stdin:
    try:
        response = client.send_event(**json.loads(line))
        print(json.dumps({
            "event": json.loads(response.to_json()),
            "is_success": response.is_success,
            "is_redirect": response.is_redirect,
            "is_error": response.is_error,
            "error_type": response.error_type.value if response.is_error else None,
        }), flush=True)
    except Exception as error:
        print(json.dumps({"raises": type(error).__name__, "message": str(error)}), flush=True)
