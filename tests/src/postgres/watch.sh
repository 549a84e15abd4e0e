# Stops and deletes a throwaway cluster when the process that made it is gone, however it went.
#
# $1 is the cluster's folder. That process holds the other end of our standard input, and nobody else does; when it ends, even
# by SIGKILL, reading ends too. We live in our own process group, so Ctrl-C does not reach us.

folder=$1
case ${folder##*/} in bemi-postgres-?*) ;; *) exit 1 ;; esac

while read -r _; do :; done

# Sets pid to the process at work in the folder: initdb or the postmaster. The file may outlive its process and the id may by
# now be somebody else's: then the folder is not among its arguments.
at_work() {
    read -r pid <"$folder/pid" || return 1
    if [ -d /proc/self ]; then
        arguments=$(tr '\0' ' ' <"/proc/$pid/cmdline") || return 1
    else
        arguments=$(ps -o args= -p "$pid") || return 1
    fi
    case $arguments in *"$folder"*) ;; *) return 1 ;; esac
}

# SIGQUIT is PostgreSQL's immediate shutdown. A tenth of a second a round; ten seconds until SIGKILL, thirty until we give up.
round=0
while [ -d "$folder" ] && [ "$round" -lt 300 ]; do
    round=$((round + 1))
    if at_work; then
        if [ "$round" -lt 100 ]; then kill -QUIT "$pid"; else kill -KILL "$pid"; fi
        sleep 0.1
    else
        rm -rf -- "$folder" || sleep 0.1
    fi
done
