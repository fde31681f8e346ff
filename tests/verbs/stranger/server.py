"""A web server over a directory: `server.py DIR [--forbid]` prints its port. With --forbid it answers 403 for what it does
not have, as buckets without a public listing do."""
import functools, http.server, sys


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send_error(self, code, message=None, explain=None):
        super().send_error(403 if code == 404 and "--forbid" in sys.argv else code)

    def list_directory(self, path):
        self.send_error(404)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=sys.argv[1]))
print(server.server_address[1], flush=True)
server.serve_forever()
