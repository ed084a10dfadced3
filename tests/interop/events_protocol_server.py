# The original server of the events protocol behind Python's http.server. Prints its port and runs until it is killed.
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from events_protocol.core import logging as events_logging

# The package logs to standard output from a thread of its own.
events_logging._get_logger().handlers.clear()

from events_protocol import BaseModel, EventBuilder, EventHandler, EventProcessor, EventRegister
from events_protocol.core.exception import EventException
from events_protocol.core.model.event_type import EventErrorType, EventSuccessType


class Example(BaseModel):
    example: str


class Get(EventHandler):
    _SCHEMA = Example

    @classmethod
    def handle(cls, event):
        return EventBuilder.response_for(event, {"got": cls.parse_event(event).example})


class Echo(EventHandler):
    @classmethod
    def handle(cls, event):
        return EventBuilder.response_for(event, event.payload)


class Redirect(EventHandler):
    @classmethod
    def handle(cls, event):
        return EventBuilder.response_for(event, {"url": "https://e.x", "queryParameters": {"a": 1}}, EventSuccessType.REDIRECT)


class Raise(EventHandler):
    @classmethod
    def handle(cls, event):
        if event.payload["type"] == "crash":
            raise RuntimeError("not of the protocol")

        class Raised(EventException):
            _CODE = "RAISED"
            _TYPE = EventErrorType(event.payload["type"])

        raise Raised({"asked": event.payload["type"]})


for name, handler in (("get:event:example", Get), ("echo:event", Echo), ("redirect:event", Redirect), ("raise:event", Raise)):
    type(handler.__name__ + "Register", (EventRegister,), {"event_name": name, "event_version": 1, "event_handler": handler}).register_event()


class Events(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        try:
            status, answer = 200, EventProcessor.process_event(body)
        except Exception as error:
            # The package does not handle these errors.
            status, answer = 500, json.dumps({"crash": repr(error)})
        data = answer.encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


# At least the number of concurrent requests of the tests: beyond it the system drops connections, and reconnecting
# takes seconds.
ThreadingHTTPServer.request_queue_size = 128
server = ThreadingHTTPServer(("127.0.0.1", 0), Events)
print(server.server_address[1], flush=True)
server.serve_forever()
