"""A web server over a directory: `server.py DIR [--forbid] [--then PATH OTHER]` prints its port. With --forbid it answers 403
for what it does not have, as buckets without a public listing do. With --then it serves the directory OTHER once PATH was asked
for, as a store that moves on while it is read."""
import functools, http.server, sys

now = [sys.argv[1]]


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.directory = now[0]
        if "--then" in sys.argv and self.path == sys.argv[sys.argv.index("--then") + 1]:
            now[0] = sys.argv[sys.argv.index("--then") + 2]
        super().do_GET()

    def send_error(self, code, message=None, explain=None):
        super().send_error(403 if code == 404 and "--forbid" in sys.argv else code)

    def list_directory(self, path):
        self.send_error(404)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=sys.argv[1]))
print(server.server_address[1], flush=True)
server.serve_forever()
