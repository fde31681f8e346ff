# Runs in namespaces of its own: <job> <state> <hidden>... -- <command>...
set -eu
path=$PATH
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin:/run/current-system/sw/bin
job=$1 state=$2 here=$PWD
shift 2
{ ip link set lo up || ifconfig lo up || :; } 2>/dev/null
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then
        mount -n -t tmpfs -o mode=700,size=64k hidden "$1"
    elif [ -e "$1" ]; then
        # A socket may go at any time.
        mount -n --bind /dev/null "$1" || [ ! -e "$1" ]
    fi
    shift
done
shift
# An empty file system over the state, with nothing in it but this job's directory; built where the job has its TMPDIR.
cover=$job/tmp
inner=$cover/${job#"$state"}
mount -n -t tmpfs -o mode=700,size=1m hidden "$cover"
mkdir -p "$inner"
mount -n --bind "$job" "$inner"
mount -n --move "$cover" "$state"
# Whoever stands in the covered directory would still see it.
cd "$here"
# Nothing of the rest can mount, trace or reach raw devices; in a user namespace, nothing is left at all.
keep=+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setfcap,+net_bind_service,+sys_chroot
drop=$(command -v setpriv) || { echo 'there is no setpriv' >&2; exit 127; }
PATH=$path
exec "$drop" --no-new-privs --ambient-caps=-all --inh-caps=-all --bounding-set="-all,$keep" "$@"
