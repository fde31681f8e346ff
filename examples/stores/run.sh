#!/usr/bin/env bash
# A release to three kinds of storage, of which one is cut off in the middle, played in one directory:
#
#   a bucket       on Ceph's radosgw
#   a WebDAV server   nginx
#   an SFTP host   sshd
#
# Two of the three are enough to be released. The third gets the release when it is back; a volunteer fills a fourth place, a
# directory, from one of them; and a stranger with a URL and a digest verifies each.
#
#   run.sh [--wasmtime CLONE] [DIR]   DIR must not exist; ./stores if none is given
#
# What is released is the sample project; with `--wasmtime`, wasmtime's security train of 2026-02-24 from a clone of wasmtime, as
# examples/wasmtime describes it: four lines, and the host is cut off while their files are becoming public there. It ends with
# exit code 0 only if each of them saw what they should. The program is `lifeboat`, or what LIFEBOAT names.
# Needs: git, python3, openssl, curl, util-linux, procps, nginx with the DAV module, sshd, radosgw; with `--wasmtime` also what
#   examples/wasmtime/rehearse.sh needs. On Debian: apt-get install git python3 openssl curl procps nginx-light
#   libnginx-mod-http-dav-ext openssh-server openssh-client radosgw ceph-mon ceph-osd ceph-common
set -euo pipefail

clone=
if [ "${1-}" = --wasmtime ]; then
  [ $# -ge 2 ] || { echo "usage: run.sh [--wasmtime CLONE] [DIR]" >&2; exit 2; }
  clone=$(realpath "$2")
  shift 2
fi
lifeboat=$(command -v "${LIFEBOAT:-lifeboat}") || { echo "run.sh: no lifeboat: set LIFEBOAT to the program" >&2; exit 2; }
lifeboat=$(realpath "$lifeboat")
here=$(cd "$(dirname "$0")/../.." && pwd)
for program in git python3 openssl curl pgrep /usr/sbin/nginx /usr/sbin/sshd ssh-keygen radosgw ceph-mon ceph-osd; do
  command -v "$program" >/dev/null || { echo "run.sh: there is no $program: the head of this script says how to get it" >&2; exit 2; }
done
mkdir "${1:-stores}"
cd "${1:-stores}"
work=$PWD
pids=()
end() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || :; done; exec 9>&-; }
trap end EXIT

scene() { printf '\n\n==== %s\n' "$*"; }
die() { printf 'run.sh: %s\n' "$*" >&2; exit 1; }
# as HOME DIRECTORY COMMAND…: as the person whose home that is, with nothing else of this environment.
as() { local home=$1 dir=$2; shift 2; mkdir -p "$work/$home"; (cd "$dir" && env -i HOME="$work/$home" PATH="$PATH" BUCKET_KEY=relkey BUCKET_SECRET=relsecretrelsecret DAV_PASSWORD=dav "$@"); }
# killed PID: ends a process and those that it started.
killed() { local child; for child in $(pgrep -P "$1"); do killed "$child"; done; kill -9 "$1" 2>/dev/null || :; }
# wants CODE COMMAND…: fails unless the command ends with that exit code.
wants() {
  local code=$1 got=0; shift
  printf '\n$ %s\n' "${*/#$lifeboat/lifeboat}"
  "$@" || got=$?
  [ "$got" = "$code" ] || die "ended with $got, expected $code"
}
# Ports that are free, outside of the range from which connections get theirs.
free_ports() { python3 -c 'import random, socket, sys
def is_free(port):
    try:
        return socket.socket().bind(("127.0.0.1", port)) is None
    except OSError:
        return False
ports = random.sample(range(10000, 32000), 500)
print(*[port for port in ports if is_free(port)][:int(sys.argv[1])])' "$1"; }
answers() { for _ in $(seq 200); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.1; done; die "nothing listens at port $1"; }

read -r mon mon1 s3 dav web sftp plain <<<"$(free_ports 7)"

scene "A bucket on radosgw, with the policy of docs/stores.md"
mkfifo radosgw.in
bash "$here/tests/support/radosgw.sh" "$work/radosgw" "$mon" "$mon1" "$s3" <radosgw.in >radosgw.out 2>&1 &
pids+=($!)
exec 9>radosgw.in
for _ in $(seq 900); do grep -qx ready radosgw.out && break; sleep 0.1; done
grep -qx ready radosgw.out || die "radosgw does not start: $(cat radosgw.out)"
# A request that is signed as AWS describes it (Signature Version 4, with the signature in the query).
signed() {
  python3 - "http://127.0.0.1:$s3" "$@" <<'PYTHON'
import datetime, hashlib, hmac, sys, urllib.parse, urllib.request
base, path, parameters, body = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4]
key, secret, scope_tail = "relkey", "relsecretrelsecret", "us-east-1/s3/aws4_request"
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
query = dict(urllib.parse.parse_qsl(parameters, keep_blank_values=True))
query |= {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{key}/{now[:8]}/{scope_tail}", "X-Amz-Date": now,
          "X-Amz-Expires": "60", "X-Amz-SignedHeaders": "host"}
query = "&".join(f"{urllib.parse.quote(k, '')}={urllib.parse.quote(v, '')}" for k, v in sorted(query.items()))
host = urllib.parse.urlsplit(base).netloc
request = f"PUT\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
text = f"AWS4-HMAC-SHA256\n{now}\n{now[:8]}/{scope_tail}\n{hashlib.sha256(request.encode()).hexdigest()}"
sign = lambda key, text: hmac.new(key, text.encode(), hashlib.sha256).digest()
key = ("AWS4" + secret).encode()
for part in [now[:8], *scope_tail.split("/")]:
    key = sign(key, part)
url = f"{base}{path}?{query}&X-Amz-Signature={sign(key, text).hex()}"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
opener.open(urllib.request.Request(url, data=body.encode(), method="PUT"))
PYTHON
}
signed /acme-releases "" ""
policy=$(python3 -c 'import re, sys; print(re.search(r"```json\n(.*?)```", open(sys.argv[1]).read(), re.S).group(1))' "$here/docs/stores.md")
signed /acme-releases policy "$policy"

scene "nginx with WebDAV for the team, and without for strangers"
mkdir -p nginx/releases nginx/arriving
printf 'release:%s\n' "$(openssl passwd -apr1 dav)" >nginx/htpasswd
cat >nginx/nginx.conf <<CONF
load_module /usr/lib/nginx/modules/ngx_http_dav_ext_module.so;
daemon off;
$([ "$(id -u)" != 0 ] || echo "user root;")
pid $work/nginx/pid;
error_log $work/nginx/error.log;
events {}
http {
  access_log off;
  $(for kind in proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $work/nginx/$kind;"; done)
  dav_ext_lock_zone zone=releases:10m;
  server {
    listen 127.0.0.1:$dav;
    location /releases/ {
      alias $work/nginx/releases/;
      auth_basic "releases";
      auth_basic_user_file $work/nginx/htpasswd;
      dav_methods PUT DELETE MKCOL COPY MOVE;
      dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK;
      dav_ext_lock zone=releases;
      create_full_put_path on;
      client_max_body_size 0;
      client_body_temp_path $work/nginx/arriving;
    }
  }
  server {
    listen 127.0.0.1:$web;
    root $work/nginx/releases;
    location ~ /\.(?!well-known/) { return 404; }
  }
}
CONF
/usr/sbin/nginx -e "$work/nginx/error.log" -c "$work/nginx/nginx.conf" &
pids+=($!)

scene "sshd with SFTP, and a web server over the same directory"
mkdir -p ssh/releases
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
for key in host id; do ssh-keygen -q -t ed25519 -N '' -f "ssh/$key"; done
cat >ssh/sshd.conf <<CONF
Port $sftp
ListenAddress 127.0.0.1
HostKey $work/ssh/host
AuthorizedKeysFile $work/ssh/id.pub
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
CONF
printf 'store %s\n' "$(cat ssh/host.pub)" >ssh/known_hosts
cat >ssh/config <<CONF
User $(id -un)
IdentityFile $work/ssh/id
IdentitiesOnly yes
StrictHostKeyChecking yes
UserKnownHostsFile $work/ssh/known_hosts
HostKeyAlias store
CONF
sshd_up() { /usr/sbin/sshd -D -e -f "$work/ssh/sshd.conf" 2>>ssh/log & sshd=$!; pids+=("$sshd"); answers "$sftp"; }
sshd_up
# A web server that shows nothing of what begins with a dot, as any web server over a store must.
python3 - "$plain" "$work/ssh/releases" >ssh/web.txt 2>&1 <<'PYTHON' &
import functools, http.server, sys
class Public(http.server.SimpleHTTPRequestHandler):
    def translate_path(self, path):
        return "/nowhere" if "/." in path else super().translate_path(path)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), functools.partial(Public, directory=sys.argv[2])).serve_forever()
PYTHON
pids+=($!)
for port in "$s3" "$dav" "$web" "$plain"; do answers "$port"; done

if [ -z "$clone" ]; then
  scene "The sample project, with these three stores: two are enough"
  as operator . "$lifeboat" drill --manual --dir "$work/drill" >drill.txt
  project=$work/drill/project state=$work/drill/state train=$work/drill/train.toml
  name=sample versions="1.0.5 latest" first=1.0.5
else
  scene "wasmtime's train of 2026-02-24, with these three stores: two are enough"
  "$here/examples/wasmtime/train-from-clone.py" "$clone" "$work/train"
  LIFEBOAT=$lifeboat "$here/examples/wasmtime/rehearse.sh" --prepare "$work/train" "$work/wasmtime" >prepared.txt
  project=$work/wasmtime state=$work/wasmtime/state train=$work/wasmtime/train.toml
  name=wasmtime versions="24.0.6 36.0.6 40.0.4 41.0.4 latest" first=24.0.6
fi
root=$(sha256sum <"$project/keys/trust.json" | cut -d' ' -f1)
python3 - "$project/lifeboat.toml" <<'PYTHON'
import re, sys
text = open(sys.argv[1]).read()
text, n = re.subn(r"(?ms)^\[\[store\]\]\n.*?(?=^\[|\Z)", "", text)
assert n == 1, n
open(sys.argv[1], "w").write(text)
PYTHON
cat >>"$project/lifeboat.toml" <<CONF

[release]
stores = "2 of 3"

[[store]]
name = "bucket"
url = "s3://acme-releases"
endpoint = "http://127.0.0.1:$s3"
access_key = { env = "BUCKET_KEY" }
secret_key = { env = "BUCKET_SECRET" }

[[store]]
name = "web"
url = "dav://127.0.0.1:$dav/releases"
user = "release"
password = { env = "DAV_PASSWORD" }
public_url = "http://127.0.0.1:$web"

[[store]]
name = "host"
url = "sftp://127.0.0.1:$sftp$work/ssh/releases"
ssh_config = "$work/ssh/config"
public_url = "http://127.0.0.1:$plain"
CONF
operator() { as operator "$project" "$lifeboat" --state "$state" "$@"; }
wants 0 operator doctor
wants 0 operator plan "$train"
wants 3 operator ship "$train"

scene "Strangers see nothing of what is staged"
for url in "http://127.0.0.1:$s3/acme-releases" "http://127.0.0.1:$web"; do
  code=$(curl --noproxy '*' --silent --output /dev/null --write-out '%{http_code}' "$url/releases/$first/SHA256SUMS")
  case $code in 403 | 404) ;; *) die "$url answers $code" ;; esac
done
for person in alice bob; do wants 0 operator approve --as "$person" --yes; done

if [ -z "$clone" ]; then
  scene "The SFTP host is cut off; the train is released all the same"
  kill "$sshd"; wait "$sshd" 2>/dev/null || :
  wants 0 operator ship
else
  scene "The SFTP host is cut off while files are becoming public there; the train is released all the same"
  printf '\n$ lifeboat ship\n'
  operator ship >ship.txt 2>&1 &
  ship=$!
  until [ "$(find ssh/releases/releases -type f 2>/dev/null | wc -l)" -ge 20 ]; do
    kill -0 "$ship" 2>/dev/null || die "nothing became public: $(cat ship.txt)"
    sleep 0.01
  done
  killed "$sshd"; wait "$sshd" 2>/dev/null || :
  wait "$ship" || die "ended with $?, expected 0: $(cat ship.txt)"
  cat ship.txt
  printf '\ncut off with %s of the %s public files of a store\n' "$(find ssh/releases/releases -type f | wc -l)" \
    "$(find nginx/releases/releases -type f | wc -l)"
fi
operator status | tee status.txt
grep -q '^train .*: released' status.txt || die "it is not released"
grep -q 'host store since' status.txt || die "status does not name the store that is down"
[ ! -e ssh/releases/releases/index.json ] || die "half a release is in the index"

scene "It is back, and gets the release"
sshd_up
# GitHub does not answer in this play: what waits for it waits on.
wants 5 operator reconcile
operator status >status.txt
! grep -q 'host store since' status.txt || die "the store still waits"

scene "A volunteer fills a fourth place"
mkdir mirror volunteer-dir stranger-dir
wants 0 as volunteer "$work/volunteer-dir" "$lifeboat" mirror --pin "$root" "http://127.0.0.1:$s3/acme-releases" "$work/mirror"

scene "A stranger with a URL and a digest verifies each"
for url in "http://127.0.0.1:$s3/acme-releases" "http://127.0.0.1:$web" "http://127.0.0.1:$plain" "$work/mirror"; do
  for version in $versions; do
    wants 0 as stranger "$work/stranger-dir" "$lifeboat" verify --pin "$root" "$version" "$url" >>verified.txt
  done
  printf '%s: %s\n' "${url/#$work/}" "$(tail -n 1 verified.txt)"
done
[ "$(grep -c "^$name .* verifies; approved by " verified.txt)" = $((4 * $(wc -w <<<"$versions"))) ] || die "not all of them verify"

printf '\n\n==== All of them saw what they should: %s\n' "$work"
