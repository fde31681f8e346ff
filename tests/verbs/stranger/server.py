"""A web server over a directory: `server.py DIR [--forbid] [--then PATH OTHER] [--odd FILE] [--show-hidden]` prints its port. What begins with
a dot is shown with --show-hidden only. With --forbid it
answers 403 for what it does not have, as buckets without a public listing do. With --then it serves the directory OTHER once PATH
was asked for, as a store that moves on while it is read. With --odd, lines of FILE say where it misbehaves, if there is such a
file: `PATH endless` (a body without end), `PATH endless TEXT` (TEXT and a line end, again and again), `PATH elsewhere URL` (a
redirect), `PATH slowly` (a byte now and then, without end), `PATH fails` (503)."""
import functools, http.server, os, sys, time

now = [sys.argv[1]]


def option(name, n=1):
    return sys.argv[sys.argv.index(name) + n] if name in sys.argv else None


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def odd(self):
        file = option("--odd")
        lines = open(file).read().splitlines() if file and os.path.exists(file) else []
        for path, kind, *rest in (line.split(" ", 2) for line in lines):
            if path == self.path:
                return kind, "".join(rest)
        return None, ""

    def do_GET(self):
        self.answer(super().do_GET)

    def do_HEAD(self):
        self.answer(super().do_HEAD)

    def answer(self, usual):
        if "/." in self.path and "--show-hidden" not in sys.argv:
            return self.send_error(404)
        kind, argument = self.odd()
        if kind == "elsewhere":
            self.send_response(302)
            self.send_header("Location", argument)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if kind == "fails":
            return self.send_error(503)
        if kind in ("endless", "slowly"):
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            piece = (argument + "\n").encode() * 1024 if argument else bytes(65536)
            try:
                while self.command == "GET":
                    self.wfile.write(b" " if kind == "slowly" else piece)
                    time.sleep(0.1 if kind == "slowly" else 0)
            except OSError:
                pass
            return
        self.directory = now[0]
        if self.path == option("--then"):
            now[0] = option("--then", 2)
        usual()

    def send_error(self, code, message=None, explain=None):
        super().send_error(403 if code == 404 and "--forbid" in sys.argv else code)

    def list_directory(self, path):
        self.send_error(404)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=sys.argv[1]))
print(server.server_address[1], flush=True)
server.serve_forever()
