# bash completion for davit, made by "davit completion bash"

_davit() {
    local program=$1 word command= flag= position=0 literal= joined=
    local -a words=() root=()
    # readline makes three words of NAME=VALUE.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ $word == "=" && ${#words[@]} -gt 0 ]]; then
            words[-1]+="="
            joined=1
        elif [[ $joined ]]; then
            words[-1]+=$word
            joined=
        else
            words+=("$word")
        fi
    done
    local current=${words[-1]}
    for word in "${words[@]:0:${#words[@]}-1}"; do
        if [[ $flag ]]; then
            [[ $flag == --root ]] && root=(--root "$word")
            flag=
        elif [[ ! $literal && $word == -- ]]; then
            literal=1
        elif [[ ! $literal && $word == -* ]]; then
            [[ $word == --root=* ]] && root=("$word")
            if [[ $word != *=* ]] && _davit_takes_value "$command $word"; then
                flag=$word
            fi
        elif [[ ! $command ]]; then
            command=$word
        else
            position=$((position + 1))
            _davit_stops "$command" && literal=1
        fi
    done
    COMPREPLY=()
    if [[ $flag ]]; then
        _davit_value "$command $flag"
    elif [[ ! $literal && $current == --*=* ]]; then
        flag=${current%%=*}
        current=${current#*=}
        _davit_value "$command $flag"
    elif [[ ! $literal && $current == -* ]]; then
        _davit_words "$(_davit_flags "$command")"
    elif [[ ! $command ]]; then
        _davit_words "$_davit_commands"
    else
        _davit_argument
    fi
}

_davit_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

_davit_paths() {
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen "$1" -- "$current")
}

_davit_containers() {
    _davit_words "$("$program" "${root[@]}" list --quiet 2>/dev/null)"
}

_davit_commands='run create start exec kill pause resume update checkpoint restore delete list state ps events stats spec check explain doctor features completion version help'

_davit_flags() {
    case $1 in
        run) echo '-b --bundle --console-socket --pid-file --pidfd-socket --no-pivot --no-new-keyring --preserve-fds -d --detach --keep --no-subreaper --timings -h --help' ;;
        create) echo '-b --bundle --console-socket --pid-file --pidfd-socket --no-pivot --no-new-keyring --preserve-fds --timings -h --help' ;;
        start) echo '--timings -h --help' ;;
        exec) echo '--console-socket --cwd -e --env -t --tty -u --user -g --additional-gids -p --process -d --detach --create --pid-file --pidfd-socket --process-label --apparmor --no-new-privs -c --cap --preserve-fds --cgroup --ignore-paused --timings -h --help' ;;
        kill) echo '-h --help' ;;
        pause) echo '-h --help' ;;
        resume) echo '-h --help' ;;
        update) echo '-r --resources --memory --memory-swap --memory-reservation --cpu-quota --cpu-period --cpu-burst --cpu-share --cpu-idle --cpu-rt-runtime --cpu-rt-period --cpuset-cpus --cpuset-mems --pids-limit --blkio-weight --l3-cache-schema --mem-bw-schema -h --help' ;;
        checkpoint) echo '--image-path --work-path --tcp-established --ext-unix-sk --shell-job --file-locks --auto-dedup --lazy-pages --manage-cgroups-mode --empty-ns --parent-path --leave-running --pre-dump --tcp-skip-in-flight --link-remap --page-server --status-fd -h --help' ;;
        restore) echo '--image-path --work-path --tcp-established --ext-unix-sk --shell-job --file-locks --auto-dedup --lazy-pages --manage-cgroups-mode --empty-ns -b --bundle --console-socket --pid-file -d --detach --no-subreaper --no-pivot --lsm-profile --lsm-mount-context -h --help' ;;
        delete) echo '-f --force -h --help' ;;
        list) echo '-f --format -q --quiet -h --help' ;;
        state) echo '-h --help' ;;
        ps) echo '-f --format -h --help' ;;
        events) echo '--interval --stats -h --help' ;;
        stats) echo '-f --format --no-stream --interval -h --help' ;;
        spec) echo '-b --bundle --rootless -h --help' ;;
        check) echo '-b --bundle -f --format --strict --no-pivot -h --help' ;;
        explain) echo '-b --bundle -f --format --no-pivot --no-new-keyring --preserve-fds -h --help' ;;
        doctor) echo '-f --format -h --help' ;;
        features) echo '-h --help' ;;
        completion) echo '-h --help' ;;
        version) echo '-h --help' ;;
        help) echo '-h --help' ;;
        '') echo '--root --log --log-format --debug --systemd-cgroup --cgroup-manager --rootless -v --version -h --help' ;;
    esac
}

_davit_takes_value() {
    case $1 in
        run' -b' | run' --bundle') return 0 ;;
        run' --console-socket') return 0 ;;
        run' --pid-file') return 0 ;;
        run' --pidfd-socket') return 0 ;;
        run' --preserve-fds') return 0 ;;
        create' -b' | create' --bundle') return 0 ;;
        create' --console-socket') return 0 ;;
        create' --pid-file') return 0 ;;
        create' --pidfd-socket') return 0 ;;
        create' --preserve-fds') return 0 ;;
        exec' --console-socket') return 0 ;;
        exec' --cwd') return 0 ;;
        exec' -e' | exec' --env') return 0 ;;
        exec' -u' | exec' --user') return 0 ;;
        exec' -g' | exec' --additional-gids') return 0 ;;
        exec' -p' | exec' --process') return 0 ;;
        exec' --create') return 0 ;;
        exec' --pid-file') return 0 ;;
        exec' --pidfd-socket') return 0 ;;
        exec' --process-label') return 0 ;;
        exec' --apparmor') return 0 ;;
        exec' -c' | exec' --cap') return 0 ;;
        exec' --preserve-fds') return 0 ;;
        exec' --cgroup') return 0 ;;
        update' -r' | update' --resources') return 0 ;;
        update' --memory') return 0 ;;
        update' --memory-swap') return 0 ;;
        update' --memory-reservation') return 0 ;;
        update' --cpu-quota') return 0 ;;
        update' --cpu-period') return 0 ;;
        update' --cpu-burst') return 0 ;;
        update' --cpu-share') return 0 ;;
        update' --cpu-idle') return 0 ;;
        update' --cpu-rt-runtime') return 0 ;;
        update' --cpu-rt-period') return 0 ;;
        update' --cpuset-cpus') return 0 ;;
        update' --cpuset-mems') return 0 ;;
        update' --pids-limit') return 0 ;;
        update' --blkio-weight') return 0 ;;
        update' --l3-cache-schema') return 0 ;;
        update' --mem-bw-schema') return 0 ;;
        checkpoint' --image-path') return 0 ;;
        checkpoint' --work-path') return 0 ;;
        checkpoint' --manage-cgroups-mode') return 0 ;;
        checkpoint' --empty-ns') return 0 ;;
        checkpoint' --parent-path') return 0 ;;
        checkpoint' --page-server') return 0 ;;
        checkpoint' --status-fd') return 0 ;;
        restore' --image-path') return 0 ;;
        restore' --work-path') return 0 ;;
        restore' --manage-cgroups-mode') return 0 ;;
        restore' --empty-ns') return 0 ;;
        restore' -b' | restore' --bundle') return 0 ;;
        restore' --console-socket') return 0 ;;
        restore' --pid-file') return 0 ;;
        restore' --lsm-profile') return 0 ;;
        restore' --lsm-mount-context') return 0 ;;
        list' -f' | list' --format') return 0 ;;
        ps' -f' | ps' --format') return 0 ;;
        events' --interval') return 0 ;;
        stats' -f' | stats' --format') return 0 ;;
        stats' --interval') return 0 ;;
        spec' --rootless') return 1 ;;
        spec' -b' | spec' --bundle') return 0 ;;
        check' -b' | check' --bundle') return 0 ;;
        check' -f' | check' --format') return 0 ;;
        explain' -b' | explain' --bundle') return 0 ;;
        explain' -f' | explain' --format') return 0 ;;
        explain' --preserve-fds') return 0 ;;
        doctor' -f' | doctor' --format') return 0 ;;
        *' --root') return 0 ;;
        *' --log') return 0 ;;
        *' --log-format') return 0 ;;
        *' --cgroup-manager') return 0 ;;
        *' --rootless') return 0 ;;
    esac
    return 1
}

_davit_value() {
    case $1 in
        run' -b' | run' --bundle') _davit_paths -d ;;
        run' --console-socket') _davit_paths -f ;;
        run' --pid-file') _davit_paths -f ;;
        run' --pidfd-socket') _davit_paths -f ;;
        create' -b' | create' --bundle') _davit_paths -d ;;
        create' --console-socket') _davit_paths -f ;;
        create' --pid-file') _davit_paths -f ;;
        create' --pidfd-socket') _davit_paths -f ;;
        exec' --console-socket') _davit_paths -f ;;
        exec' --cwd') _davit_paths -d ;;
        exec' -p' | exec' --process') _davit_paths -f ;;
        exec' --pid-file') _davit_paths -f ;;
        exec' --pidfd-socket') _davit_paths -f ;;
        update' -r' | update' --resources') _davit_paths -f ;;
        update' --cpu-idle') _davit_words '0 1' ;;
        checkpoint' --image-path') _davit_paths -d ;;
        checkpoint' --work-path') _davit_paths -d ;;
        checkpoint' --manage-cgroups-mode') _davit_words 'soft full strict ignore' ;;
        checkpoint' --parent-path') _davit_paths -d ;;
        restore' --image-path') _davit_paths -d ;;
        restore' --work-path') _davit_paths -d ;;
        restore' --manage-cgroups-mode') _davit_words 'soft full strict ignore' ;;
        restore' -b' | restore' --bundle') _davit_paths -d ;;
        restore' --console-socket') _davit_paths -f ;;
        restore' --pid-file') _davit_paths -f ;;
        list' -f' | list' --format') _davit_words 'table json' ;;
        ps' -f' | ps' --format') _davit_words 'table json' ;;
        stats' -f' | stats' --format') _davit_words 'table json openmetrics' ;;
        spec' -b' | spec' --bundle') _davit_paths -d ;;
        check' -b' | check' --bundle') _davit_paths -d ;;
        check' -f' | check' --format') _davit_words 'text json' ;;
        explain' -b' | explain' --bundle') _davit_paths -d ;;
        explain' -f' | explain' --format') _davit_words 'table json' ;;
        doctor' -f' | doctor' --format') _davit_words 'text json' ;;
        *' --root') _davit_paths -d ;;
        *' --log') _davit_paths -f ;;
        *' --log-format') _davit_words 'text json' ;;
        *' --cgroup-manager') _davit_words 'cgroupfs systemd disabled' ;;
        *' --rootless') _davit_words 'true false auto' ;;
    esac
}

_davit_argument() {
    case "$command $position" in
        run' 0') _davit_containers ;;
        create' 0') _davit_containers ;;
        start' 0') _davit_containers ;;
        exec' 0') _davit_containers ;;
        kill' 0') _davit_containers ;;
        kill' 1') _davit_words 'TERM KILL HUP INT QUIT USR1 USR2 STOP CONT WINCH' ;;
        pause' 0') _davit_containers ;;
        resume' 0') _davit_containers ;;
        update' 0') _davit_containers ;;
        checkpoint' 0') _davit_containers ;;
        restore' 0') _davit_containers ;;
        delete' 0') _davit_containers ;;
        state' 0') _davit_containers ;;
        ps' 0') _davit_containers ;;
        events' 0') _davit_containers ;;
        stats' '*) _davit_containers ;;
        check' 0') _davit_paths -d ;;
        explain' 0') _davit_paths -d ;;
        completion' 0') _davit_words 'bash zsh fish' ;;
        help' 0') _davit_words "$_davit_commands" ;;
    esac
}

_davit_stops() {
    [[ $1 == @(exec|ps) ]]
}

complete -F _davit davit
