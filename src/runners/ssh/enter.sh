# shellcheck shell=sh
# Runs a recipe, by `command` here or by `apart` beside this shell, with the environment that file 3 and 4 say. The text of
# what runs is in the job's directory: `recipe`, and `isolate`, which makes the namespaces' view.
enter() {
    how=$1
    shift
    if [ "$isolated" = yes ]; then
        cut=--net
        if [ "$network" = yes ]; then cut=--ipc; fi
        "$how" env -i HOME="$job/inside/home" PATH="$PATH" unshare --user --map-root-user --mount --pid --ipc --uts --fork \
            --kill-child "$cut" -- /bin/sh -c "$(cat "$job/isolate")" lifeboat "$job" "$(id -u)" "$(id -g)" "$network" \
            "$shown" "$(cat "$job/recipe")" "$root" "$@"
    else
        "$how" env -i HOME="$job/inside/home" PATH="$PATH" /bin/sh -c "$(cat "$job/recipe")" lifeboat \
            "$job/inside" "$root" "$@"
    fi
}
