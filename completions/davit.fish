# fish completion for davit, made by "davit completion fish"

# Prints the command and then its arguments, one a line.
function __davit_line
    set -l tokens (commandline -opc)
    set -e tokens[1]
    set -l command ''
    set -l flag ''
    set -l literal ''
    set -l arguments
    for token in $tokens
        if test -n "$flag"
            set flag ''
        else if test -z "$literal"; and string match -q -- '--' $token
            set literal 1
        else if test -z "$literal"; and string match -q -- '-*' $token
            if not string match -q -- '*=*' $token; and __davit_takes_value "$command $token"
                set flag $token
            end
        else if test -z "$command"
            set command $token
        else
            set -a arguments $token
            if contains -- $command $__davit_stops
                set literal 1
            end
        end
    end
    printf '%s\n' "$command" $arguments
end

# Tells whether the command is this one, and with a number that so many arguments came before.
function __davit_at
    set -l line (__davit_line)
    test "$line[1]" = "$argv[1]"; or return 1
    set -q argv[2]; or return 0
    test (count $line) -$argv[2] (math $argv[3] + 1)
end

# Tells whether flags of this command can be given.
function __davit_flags
    set -l line (__davit_line)
    test "$line[1]" = "$argv[1]"; or return 1
    not contains -- $argv[1] $__davit_stops; or test (count $line) -eq 1
end

function __davit_containers
    set -l tokens (commandline -opc)
    set -l root
    for i in (seq (count $tokens))
        switch $tokens[$i]
            case '--root'
                set root --root $tokens[(math $i + 1)]
            case '--root=*'
                set root $tokens[$i]
        end
    end
    davit $root list --quiet 2>/dev/null
end

set -g __davit_stops exec ps

function __davit_takes_value
    switch $argv[1]
        case 'spec --rootless'
            return 1
        case 'run -b' \
            'run --bundle' \
            'run --console-socket' \
            'run --pid-file' \
            'run --pidfd-socket' \
            'run --preserve-fds' \
            'create -b' \
            'create --bundle' \
            'create --console-socket' \
            'create --pid-file' \
            'create --pidfd-socket' \
            'create --preserve-fds' \
            'exec --console-socket' \
            'exec --cwd' \
            'exec -e' \
            'exec --env' \
            'exec -u' \
            'exec --user' \
            'exec -g' \
            'exec --additional-gids' \
            'exec -p' \
            'exec --process' \
            'exec --create' \
            'exec --pid-file' \
            'exec --pidfd-socket' \
            'exec --process-label' \
            'exec --apparmor' \
            'exec -c' \
            'exec --cap' \
            'exec --preserve-fds' \
            'exec --cgroup' \
            'update -r' \
            'update --resources' \
            'update --memory' \
            'update --memory-swap' \
            'update --memory-reservation' \
            'update --cpu-quota' \
            'update --cpu-period' \
            'update --cpu-burst' \
            'update --cpu-share' \
            'update --cpu-idle' \
            'update --cpu-rt-runtime' \
            'update --cpu-rt-period' \
            'update --cpuset-cpus' \
            'update --cpuset-mems' \
            'update --pids-limit' \
            'update --blkio-weight' \
            'update --l3-cache-schema' \
            'update --mem-bw-schema' \
            'checkpoint --image-path' \
            'checkpoint --work-path' \
            'checkpoint --manage-cgroups-mode' \
            'checkpoint --empty-ns' \
            'checkpoint --parent-path' \
            'checkpoint --page-server' \
            'checkpoint --status-fd' \
            'restore --image-path' \
            'restore --work-path' \
            'restore --manage-cgroups-mode' \
            'restore --empty-ns' \
            'restore -b' \
            'restore --bundle' \
            'restore --console-socket' \
            'restore --pid-file' \
            'restore --lsm-profile' \
            'restore --lsm-mount-context' \
            'list -f' \
            'list --format' \
            'ps -f' \
            'ps --format' \
            'events --interval' \
            'stats -f' \
            'stats --format' \
            'stats --interval' \
            'spec -b' \
            'spec --bundle' \
            'check -b' \
            'check --bundle' \
            'check -f' \
            'check --format' \
            'explain -b' \
            'explain --bundle' \
            'explain -f' \
            'explain --format' \
            'explain --preserve-fds' \
            'doctor -f' \
            'doctor --format' \
            '* --root' \
            '* --log' \
            '* --log-format' \
            '* --cgroup-manager' \
            '* --rootless'
            return 0
    end
    return 1
end

complete -c davit -f
complete -c davit -n "__davit_at ''" -l root -x -a '(__fish_complete_directories (commandline -ct))' -d 'keep the containers\' state in DIR (default /run/davit, rootless $XDG_RUNTIME_DIR/davit)'
complete -c davit -n "__davit_at ''" -l log -r -F -d 'append the log to FILE instead of stderr'
complete -c davit -n "__davit_at ''" -l log-format -x -a 'text json' -d 'write the log as text|json'
complete -c davit -n "__davit_at ''" -l debug -d 'log what davit does, not only what fails'
complete -c davit -n "__davit_at ''" -l systemd-cgroup -d 'let systemd make the cgroups; linux.cgroupsPath is then slice:prefix:name'
complete -c davit -n "__davit_at ''" -l cgroup-manager -x -a 'cgroupfs systemd disabled' -d 'say who makes the cgroups, cgroupfs|systemd|disabled: davit (the default), systemd as with --systemd-cgroup, or nobody'
complete -c davit -n "__davit_at ''" -l rootless -x -a 'true false auto' -d 'go on without cgroups that the caller may not make: true|false|auto'
complete -c davit -n "__davit_at ''" -l version -s v -d 'print the version'
complete -c davit -n "__davit_at ''" -l help -s h -d 'show help'
complete -c davit -n "__davit_at ''" -a run -d 'create and start a container, and wait for its end'
complete -c davit -n "__davit_at ''" -a create -d 'make a container that waits to be started'
complete -c davit -n "__davit_at ''" -a start -d 'execute the process of a created container'
complete -c davit -n "__davit_at ''" -a exec -d 'run another process in a running container'
complete -c davit -n "__davit_at ''" -a kill -d 'send a signal to a container'
complete -c davit -n "__davit_at ''" -a pause -d 'stop all processes of a container for a while'
complete -c davit -n "__davit_at ''" -a resume -d 'let the processes of a paused container go on'
complete -c davit -n "__davit_at ''" -a update -d 'change the limits of a container'
complete -c davit -n "__davit_at ''" -a checkpoint -d 'write a container to images that it can be restored from'
complete -c davit -n "__davit_at ''" -a restore -d 'make a container from the images of a checkpoint'
complete -c davit -n "__davit_at ''" -a delete -d 'remove a container and all that belongs to it'
complete -c davit -n "__davit_at ''" -a list -d 'list the containers'
complete -c davit -n "__davit_at ''" -a state -d 'print the state of a container as JSON'
complete -c davit -n "__davit_at ''" -a ps -d 'list the processes in a container'
complete -c davit -n "__davit_at ''" -a events -d 'report what happens to a container, as JSON'
complete -c davit -n "__davit_at ''" -a stats -d 'show what containers use of CPUs, memory and devices'
complete -c davit -n "__davit_at ''" -a spec -d 'write a config.json to begin with'
complete -c davit -n "__davit_at ''" -a check -d 'say about a bundle all that can be said without running it'
complete -c davit -n "__davit_at ''" -a explain -d 'show what creating a container from a bundle would do'
complete -c davit -n "__davit_at ''" -a doctor -d 'find out what this host gives to containers'
complete -c davit -n "__davit_at ''" -a features -d 'print what of the specification is implemented, as JSON'
complete -c davit -n "__davit_at ''" -a completion -d 'print a script that completes command lines in a shell'
complete -c davit -n "__davit_at ''" -a version -d 'print the version'
complete -c davit -n "__davit_at ''" -a help -d 'explain davit or one of its commands'

complete -c davit -n "__davit_flags run" -l bundle -s b -x -a '(__fish_complete_directories (commandline -ct))' -d 'the bundle is in DIR (default the working directory)'
complete -c davit -n "__davit_flags run" -l console-socket -r -F -d 'send the terminal\'s master to the UNIX socket PATH'
complete -c davit -n "__davit_flags run" -l pid-file -r -F -d 'write the process\'s pid to FILE'
complete -c davit -n "__davit_flags run" -l pidfd-socket -r -F -d 'send a pidfd of the process to the UNIX socket PATH'
complete -c davit -n "__davit_flags run" -l no-pivot -d 'move the root instead of pivot_root(2): for a root filesystem on ramfs; less isolated'
complete -c davit -n "__davit_flags run" -l no-new-keyring -d 'keep the caller\'s session keyring'
complete -c davit -n "__davit_flags run" -l preserve-fds -x -d 'pass N more file descriptors on, from 3'
complete -c davit -n "__davit_flags run" -l detach -s d -d 'return as soon as the process runs'
complete -c davit -n "__davit_flags run" -l keep -d 'don\'t remove the container in the end'
complete -c davit -n "__davit_flags run" -l no-subreaper -d 'don\'t adopt the container\'s orphaned processes'
complete -c davit -n "__davit_flags run" -l timings -d 'show on stderr where the time goes; --timings=FILE writes it to FILE instead, for trace viewers'
complete -c davit -n "__davit_flags run" -l help -s h -d 'show help'
complete -c davit -n "__davit_at run eq 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags create" -l bundle -s b -x -a '(__fish_complete_directories (commandline -ct))' -d 'the bundle is in DIR (default the working directory)'
complete -c davit -n "__davit_flags create" -l console-socket -r -F -d 'send the terminal\'s master to the UNIX socket PATH'
complete -c davit -n "__davit_flags create" -l pid-file -r -F -d 'write the process\'s pid to FILE'
complete -c davit -n "__davit_flags create" -l pidfd-socket -r -F -d 'send a pidfd of the process to the UNIX socket PATH'
complete -c davit -n "__davit_flags create" -l no-pivot -d 'move the root instead of pivot_root(2): for a root filesystem on ramfs; less isolated'
complete -c davit -n "__davit_flags create" -l no-new-keyring -d 'keep the caller\'s session keyring'
complete -c davit -n "__davit_flags create" -l preserve-fds -x -d 'pass N more file descriptors on, from 3'
complete -c davit -n "__davit_flags create" -l timings -d 'show on stderr where the time goes; --timings=FILE writes it to FILE instead, for trace viewers'
complete -c davit -n "__davit_flags create" -l help -s h -d 'show help'
complete -c davit -n "__davit_at create eq 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags start" -l timings -d 'show on stderr where the time goes; --timings=FILE writes it to FILE instead, for trace viewers'
complete -c davit -n "__davit_flags start" -l help -s h -d 'show help'
complete -c davit -n "__davit_at start eq 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags exec" -l console-socket -r -F -d 'send the terminal\'s master to the UNIX socket PATH'
complete -c davit -n "__davit_flags exec" -l cwd -x -a '(__fish_complete_directories (commandline -ct))' -d 'run in DIR of the container'
complete -c davit -n "__davit_flags exec" -l env -s e -x -d 'set NAME=VALUE in the environment'
complete -c davit -n "__davit_flags exec" -l tty -s t -d 'allocate a terminal'
complete -c davit -n "__davit_flags exec" -l user -s u -x -d 'run as UID[:GID]'
complete -c davit -n "__davit_flags exec" -l additional-gids -s g -x -d 'add the group GID'
complete -c davit -n "__davit_flags exec" -l process -s p -r -F -d 'take the process from the JSON FILE'
complete -c davit -n "__davit_flags exec" -l detach -s d -d 'return as soon as the process runs'
complete -c davit -n "__davit_flags exec" -l create -x -d 'make the process but don\'t execute it: "davit start ID PROCESS" does'
complete -c davit -n "__davit_flags exec" -l pid-file -r -F -d 'write the process\'s pid to FILE'
complete -c davit -n "__davit_flags exec" -l pidfd-socket -r -F -d 'send a pidfd of the process to the UNIX socket PATH'
complete -c davit -n "__davit_flags exec" -l process-label -x -d 'set the SELinux LABEL'
complete -c davit -n "__davit_flags exec" -l apparmor -x -d 'confine by the AppArmor PROFILE'
complete -c davit -n "__davit_flags exec" -l no-new-privs -d 'let no exec add privileges'
complete -c davit -n "__davit_flags exec" -l cap -s c -x -d 'add the CAPABILITY, such as CAP_NET_ADMIN'
complete -c davit -n "__davit_flags exec" -l preserve-fds -x -d 'pass N more file descriptors on, from 3'
complete -c davit -n "__davit_flags exec" -l cgroup -x -d 'join the sub-cgroup [CONTROLLER:]PATH'
complete -c davit -n "__davit_flags exec" -l ignore-paused -d 'run it even while the container is paused'
complete -c davit -n "__davit_flags exec" -l timings -d 'show on stderr where the time goes; --timings=FILE writes it to FILE instead, for trace viewers'
complete -c davit -n "__davit_flags exec" -l help -s h -d 'show help'
complete -c davit -n "__davit_at exec eq 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags kill" -l help -s h -d 'show help'
complete -c davit -n "__davit_at kill eq 0" -a '(__davit_containers)' -d container
complete -c davit -n "__davit_at kill eq 1" -a 'TERM KILL HUP INT QUIT USR1 USR2 STOP CONT WINCH' -d signal

complete -c davit -n "__davit_flags pause" -l help -s h -d 'show help'
complete -c davit -n "__davit_at pause eq 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags resume" -l help -s h -d 'show help'
complete -c davit -n "__davit_at resume eq 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags update" -l resources -s r -r -F -d 'take all limits from the JSON FILE, - for standard input'
complete -c davit -n "__davit_flags update" -l memory -x -d 'limit memory to SIZE'
complete -c davit -n "__davit_flags update" -l memory-swap -x -d 'limit memory and swap together to SIZE'
complete -c davit -n "__davit_flags update" -l memory-reservation -x -d 'let SIZE of memory be reclaimed last'
complete -c davit -n "__davit_flags update" -l cpu-quota -x -d 'allow USEC microseconds of CPU time in each period, -1 for any'
complete -c davit -n "__davit_flags update" -l cpu-period -x -d 'renew the quota of CPU time every USEC microseconds'
complete -c davit -n "__davit_flags update" -l cpu-burst -x -d 'save up to USEC microseconds of unused quota for later'
complete -c davit -n "__davit_flags update" -l cpu-share -x -d 'share CPU time by the weight N; 1024 is usual'
complete -c davit -n "__davit_flags update" -l cpu-idle -x -a '0 1' -d '1 of 0|1 leaves only CPU time that nobody else wants'
complete -c davit -n "__davit_flags update" -l cpu-rt-runtime -x -d 'allow USEC microseconds of realtime scheduling in each realtime period'
complete -c davit -n "__davit_flags update" -l cpu-rt-period -x -d 'renew the quota of realtime scheduling every USEC microseconds'
complete -c davit -n "__davit_flags update" -l cpuset-cpus -x -d 'run on the CPUs in LIST, such as 0-3,7'
complete -c davit -n "__davit_flags update" -l cpuset-mems -x -d 'use memory of the nodes in LIST'
complete -c davit -n "__davit_flags update" -l pids-limit -x -d 'allow N processes and threads, -1 for any number'
complete -c davit -n "__davit_flags update" -l blkio-weight -x -d 'share block I/O by the weight N, from 10 to 1000'
complete -c davit -n "__davit_flags update" -l l3-cache-schema -x -d 'give the container\'s resctrl class the share of L3 caches in SCHEMA, such as L3:0=7f0;1=1f'
complete -c davit -n "__davit_flags update" -l mem-bw-schema -x -d 'give the container\'s resctrl class the memory bandwidth in SCHEMA, such as MB:0=20;1=70'
complete -c davit -n "__davit_flags update" -l help -s h -d 'show help'
complete -c davit -n "__davit_at update eq 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags checkpoint" -l image-path -x -a '(__fish_complete_directories (commandline -ct))' -d 'the images are in DIR (default ./checkpoint)'
complete -c davit -n "__davit_flags checkpoint" -l work-path -x -a '(__fish_complete_directories (commandline -ct))' -d 'CRIU writes its log to DIR (default that of the images)'
complete -c davit -n "__davit_flags checkpoint" -l tcp-established -d 'ask CRIU to take TCP connections along, which is not proven to work'
complete -c davit -n "__davit_flags checkpoint" -l ext-unix-sk -d 'UNIX sockets may be connected to outside of the container'
complete -c davit -n "__davit_flags checkpoint" -l shell-job -d 'the container\'s session and terminal are the caller\'s'
complete -c davit -n "__davit_flags checkpoint" -l file-locks -d 'file locks go along'
complete -c davit -n "__davit_flags checkpoint" -l auto-dedup -d 'drop pages from earlier dumps that this one replaces'
complete -c davit -n "__davit_flags checkpoint" -l lazy-pages -d 'memory is moved when it is used (userfaultfd(2))'
complete -c davit -n "__davit_flags checkpoint" -l manage-cgroups-mode -x -a 'soft full strict ignore' -d 'what CRIU does about cgroups inside the container: soft|full|strict|ignore'
complete -c davit -n "__davit_flags checkpoint" -l empty-ns -x -d 'leave the content of the container\'s namespace NAMESPACE out: network'
complete -c davit -n "__davit_flags checkpoint" -l parent-path -x -a '(__fish_complete_directories (commandline -ct))' -d 'write only what changed since the dump in DIR, relative to the images'
complete -c davit -n "__davit_flags checkpoint" -l leave-running -d 'let the container go on'
complete -c davit -n "__davit_flags checkpoint" -l pre-dump -d 'write memory only, ahead of a dump, and let the container go on'
complete -c davit -n "__davit_flags checkpoint" -l tcp-skip-in-flight -d 'leave out TCP connections that are just being made'
complete -c davit -n "__davit_flags checkpoint" -l link-remap -d 'give open files without a name one for the time being'
complete -c davit -n "__davit_flags checkpoint" -l page-server -x -d 'send memory to the page server at ADDRESS:PORT; with --lazy-pages, serve it there'
complete -c davit -n "__davit_flags checkpoint" -l status-fd -x -d 'write a NUL byte to the descriptor FD when a lazy dump\'s page server is ready'
complete -c davit -n "__davit_flags checkpoint" -l help -s h -d 'show help'
complete -c davit -n "__davit_at checkpoint eq 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags restore" -l image-path -x -a '(__fish_complete_directories (commandline -ct))' -d 'the images are in DIR (default ./checkpoint)'
complete -c davit -n "__davit_flags restore" -l work-path -x -a '(__fish_complete_directories (commandline -ct))' -d 'CRIU writes its log to DIR (default that of the images)'
complete -c davit -n "__davit_flags restore" -l tcp-established -d 'ask CRIU to take TCP connections along, which is not proven to work'
complete -c davit -n "__davit_flags restore" -l ext-unix-sk -d 'UNIX sockets may be connected to outside of the container'
complete -c davit -n "__davit_flags restore" -l shell-job -d 'the container\'s session and terminal are the caller\'s'
complete -c davit -n "__davit_flags restore" -l file-locks -d 'file locks go along'
complete -c davit -n "__davit_flags restore" -l auto-dedup -d 'drop pages from earlier dumps that this one replaces'
complete -c davit -n "__davit_flags restore" -l lazy-pages -d 'memory is moved when it is used (userfaultfd(2))'
complete -c davit -n "__davit_flags restore" -l manage-cgroups-mode -x -a 'soft full strict ignore' -d 'what CRIU does about cgroups inside the container: soft|full|strict|ignore'
complete -c davit -n "__davit_flags restore" -l empty-ns -x -d 'leave the content of the container\'s namespace NAMESPACE out: network'
complete -c davit -n "__davit_flags restore" -l bundle -s b -x -a '(__fish_complete_directories (commandline -ct))' -d 'the bundle is in DIR (default the working directory)'
complete -c davit -n "__davit_flags restore" -l console-socket -r -F -d 'send the terminal\'s master to the UNIX socket PATH'
complete -c davit -n "__davit_flags restore" -l pid-file -r -F -d 'write the process\'s pid to FILE'
complete -c davit -n "__davit_flags restore" -l detach -s d -d 'return as soon as the processes run'
complete -c davit -n "__davit_flags restore" -l no-subreaper -d 'don\'t adopt the container\'s orphaned processes'
complete -c davit -n "__davit_flags restore" -l no-pivot -d 'the container was made so: for a root filesystem on ramfs'
complete -c davit -n "__davit_flags restore" -l lsm-profile -x -d 'give the processes another label: TYPE:NAME, with apparmor or selinux as the type'
complete -c davit -n "__davit_flags restore" -l lsm-mount-context -x -d 'mount with the SELinux label LABEL instead of the checkpoint\'s'
complete -c davit -n "__davit_flags restore" -l help -s h -d 'show help'
complete -c davit -n "__davit_at restore eq 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags delete" -l force -s f -d 'whatever the container\'s status, kill and remove it'
complete -c davit -n "__davit_flags delete" -l help -s h -d 'show help'
complete -c davit -n "__davit_at delete eq 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags list" -l format -s f -x -a 'table json' -d 'print as table|json'
complete -c davit -n "__davit_flags list" -l quiet -s q -d 'print only the ids'
complete -c davit -n "__davit_flags list" -l help -s h -d 'show help'

complete -c davit -n "__davit_flags state" -l help -s h -d 'show help'
complete -c davit -n "__davit_at state eq 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags ps" -l format -s f -x -a 'table json' -d 'print as table|json'
complete -c davit -n "__davit_flags ps" -l help -s h -d 'show help'
complete -c davit -n "__davit_at ps eq 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags events" -l interval -x -d 'print statistics every DURATION, such as 500ms or 1m'
complete -c davit -n "__davit_flags events" -l stats -d 'print statistics once, and nothing else'
complete -c davit -n "__davit_flags events" -l help -s h -d 'show help'
complete -c davit -n "__davit_at events eq 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags stats" -l format -s f -x -a 'table json openmetrics' -d 'print as table|json|openmetrics'
complete -c davit -n "__davit_flags stats" -l no-stream -d 'print the table once on a terminal, too'
complete -c davit -n "__davit_flags stats" -l interval -x -d 'renew the table every DURATION (default 2s)'
complete -c davit -n "__davit_flags stats" -l help -s h -d 'show help'
complete -c davit -n "__davit_at stats ge 0" -a '(__davit_containers)' -d container

complete -c davit -n "__davit_flags spec" -l bundle -s b -x -a '(__fish_complete_directories (commandline -ct))' -d 'write to the bundle in DIR (default the working directory)'
complete -c davit -n "__davit_flags spec" -l rootless -d 'for a caller without privilege'
complete -c davit -n "__davit_flags spec" -l help -s h -d 'show help'

complete -c davit -n "__davit_flags check" -l bundle -s b -x -a '(__fish_complete_directories (commandline -ct))' -d 'the bundle is in DIR (default the working directory)'
complete -c davit -n "__davit_flags check" -l format -s f -x -a 'text json' -d 'print as text|json'
complete -c davit -n "__davit_flags check" -l strict -d 'let warnings fail the check, too'
complete -c davit -n "__davit_flags check" -l no-pivot -d 'check for a container whose root is moved instead of pivoted'
complete -c davit -n "__davit_flags check" -l help -s h -d 'show help'
complete -c davit -n "__davit_at check eq 0" -a '(__fish_complete_directories (commandline -ct))'

complete -c davit -n "__davit_flags explain" -l bundle -s b -x -a '(__fish_complete_directories (commandline -ct))' -d 'the bundle is in DIR (default the working directory)'
complete -c davit -n "__davit_flags explain" -l format -s f -x -a 'table json' -d 'print as table|json'
complete -c davit -n "__davit_flags explain" -l no-pivot -d 'move the root instead of pivot_root(2): for a root filesystem on ramfs; less isolated'
complete -c davit -n "__davit_flags explain" -l no-new-keyring -d 'keep the caller\'s session keyring'
complete -c davit -n "__davit_flags explain" -l preserve-fds -x -d 'pass N more file descriptors on, from 3'
complete -c davit -n "__davit_flags explain" -l help -s h -d 'show help'
complete -c davit -n "__davit_at explain eq 0" -a '(__fish_complete_directories (commandline -ct))'

complete -c davit -n "__davit_flags doctor" -l format -s f -x -a 'text json' -d 'print as text|json'
complete -c davit -n "__davit_flags doctor" -l help -s h -d 'show help'

complete -c davit -n "__davit_flags features" -l help -s h -d 'show help'

complete -c davit -n "__davit_flags completion" -l help -s h -d 'show help'
complete -c davit -n "__davit_at completion eq 0" -a 'bash zsh fish' -d shell

complete -c davit -n "__davit_flags version" -l help -s h -d 'show help'

complete -c davit -n "__davit_flags help" -l help -s h -d 'show help'
complete -c davit -n "__davit_at help eq 0" -a 'run create start exec kill pause resume update checkpoint restore delete list state ps events stats spec check explain doctor features completion version help' -d command
