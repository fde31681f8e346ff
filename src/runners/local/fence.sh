# Runs in namespaces of its own: <scratch> <top> overlay|copy <home> <kept>... -- <hidden>... -- <emptied>... -- <command>...
set -eu
path=$PATH
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin:/run/current-system/sw/bin
scratch=$1 top=$2 view=$3 home=$4
shift 4
{ ip link set lo up || ifconfig lo up || :; } 2>/dev/null
# What stays writable; mounts below it too.
mount -n --bind "$scratch" "$scratch"
if [ "$view" = overlay ]; then
    mount -n -t overlay -o "userxattr,lowerdir=$top,upperdir=$scratch/upper,workdir=$scratch/work" tree "$scratch/tree"
elif [ -d "$top/.git" ]; then
    mkdir -p "$scratch/tree/.git"
    mount -n --bind -o ro "$top/.git" "$scratch/tree/.git"
elif [ -e "$top/.git" ]; then
    cp "$top/.git" "$scratch/tree/.git"
fi
# Cargo, its toolchains, and the repository of a worktree, to be seen again once what they lie in is covered.
kept=0
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then
        kept=$((kept + 1))
        mkdir -p "$scratch/kept/$kept"
        mount -n --bind "$1" "$scratch/kept/$kept"
        printf '%s\n' "$1" > "$scratch/kept/$kept.path"
        for secret in credentials credentials.toml; do
            if [ -e "$1/$secret" ]; then mount -n --bind /dev/null "$scratch/kept/$kept/$secret"; fi
        done
    fi
    shift
done
shift
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
if [ -n "$home" ]; then mount -n -t tmpfs -o mode=755,size=64k hidden "$home"; fi
# Where sockets of agents and of services lie: nothing is there but this command's own files.
emptied=
while [ "$1" != -- ]; do
    if [ -d "$1" ] && [ ! -L "$1" ]; then
        cover=$scratch/cover
        mkdir -p "$cover"
        mount -n -t tmpfs -o mode=1777 empty "$cover"
        for at in /run/current-system "$(readlink -f /etc/resolv.conf || :)"; do
            case $at in "$1"/*) ;; *) continue ;; esac
            if [ -f "$at" ]; then
                mkdir -p "$cover/$(dirname "${at#"$1"/}")"
                : > "$cover/${at#"$1"/}"
                mount -n --bind "$at" "$cover/${at#"$1"/}"
            elif [ -L "$at" ]; then
                ln -s "$(readlink "$at")" "$cover/${at#"$1"/}"
            fi
        done
        case $scratch in "$1"/*)
            mkdir -p "$cover/${scratch#"$1"/}"
            mount -n --rbind "$scratch" "$cover/${scratch#"$1"/}"
            umount -n "$cover/${scratch#"$1"/}/cover"
            ;;
        esac
        mount -n --move "$cover" "$1"
        emptied="$emptied$1
"
    fi
    shift
done
shift
while [ "$kept" -gt 0 ]; do
    read -r place < "$scratch/kept/$kept.path"
    if [ ! -d "$place" ]; then
        mkdir -p "$place"
        mount -n --move "$scratch/kept/$kept" "$place"
    else
        mount -n --bind "$scratch/kept/$kept" "$place"
    fi
    kept=$((kept - 1))
done
# One cover for a dozen mounts that no command needs.
if [ -d /sys/fs/cgroup ]; then mount -n -t tmpfs -o ro,size=4k hidden /sys/fs/cgroup 2>/dev/null || :; fi
# All the rest can be read, not written. Kernel interfaces, which are no files, may refuse to change.
while read -r _ _ _ _ at rest; do
    case $at in *\\*) at=$(printf '%b' "$at") ;; esac
    kind=${rest##* - }
    case $at in "$scratch"/tree/.git) ;; "$scratch" | "$scratch"/*) continue ;; esac
    # Made here, and gone with the command.
    case "
$emptied" in *"
$at
"*) continue ;; esac
    # Covered by now, or so already.
    [ -e "$at" ] || continue
    # In an emptied directory something else of that name may stand, which is no mount.
    printf %s "$emptied" | while read -r above; do case $at in "$above"/*) exit 1 ;; esac; done \
        || [ "$(stat -c %d "$at")" != "$(stat -c %d "$(dirname "$at")")" ] || continue
    case $rest in ro | ro[,\ ]*) continue ;; esac
    case ${kind%% *} in
    proc | sysfs | cgroup | cgroup2 | devpts | mqueue | securityfs | debugfs | tracefs | bpf | pstore | configfs | autofs | \
        binfmt_misc | nsfs | fusectl | hugetlbfs | efivarfs | rpc_pipefs)
        mount -n -o remount,bind,ro "$at" 2>/dev/null || : ;;
    *) mount -n -o remount,bind,ro "$at" ;;
    esac
done < /proc/self/mountinfo
cd "$scratch/tree"
: > "$scratch/started"
# Nothing of the rest can mount, trace or reach raw devices; in a user namespace, nothing is left at all.
keep=+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setfcap,+net_bind_service,+sys_chroot
drop=$(command -v setpriv) || { echo 'there is no setpriv' >&2; exit 127; }
PATH=$path
exec "$drop" --no-new-privs --ambient-caps=-all --inh-caps=-all --bounding-set="-all,$keep" "$@"
