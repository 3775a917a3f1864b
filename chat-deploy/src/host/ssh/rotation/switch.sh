# Puts the new host key in the place of the old one, unless an earlier run did, and has sshd read it.
# $1: the file of the host key; $2: the public half of the new one, in base64.
set -eu
umask 077
PATH=$PATH:/usr/sbin:/sbin
key=$1
fresh=$1.fresh
# Of two runs at once, the second finds it done.
exec 9<"${key%/*}"
flock -w 20 9
is_new() {
    [ "$(ssh-keygen -y -f "$1" | cut -d ' ' -f 2)" = "$2" ]
}
if ! is_new "$key" "$2"; then
    is_new "$fresh" "$2" || { echo "$fresh is another key than the one that was announced" >&2; exit 1; }
    # An sshd that finds fault with its configuration would not come back. Debian's misses a directory while it is being
    # restarted, which cloud-init does once on a new machine.
    tries=30
    until sshd -t -h "$fresh"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || exit 1
        sleep 0.1
    done
    cp "$fresh" "$key.part"
    ssh-keygen -y -f "$fresh" >"$key.pub.part"
    chmod 644 "$key.pub.part"
    sync "$key.part" "$key.pub.part"
    mv -f "$key.part" "$key"
    # sshd makes do with a public half that does not fit, as it is for this moment.
    mv -f "$key.pub.part" "$key.pub"
    sync "${key%/*}"
    if command -v restorecon >/dev/null; then restorecon "$key" "$key.pub"; fi
fi
rm -f "$fresh"
# Debian calls it ssh, everybody else sshd. Reloading keeps the connections; an sshd that is started for each connection
# reads the key by itself.
for unit in ssh.service sshd.service; do
    case $(systemctl is-active "$unit") in
    # If it is being restarted at this moment, this waits for its turn.
    active | reloading | activating | deactivating)
        systemctl reload "$unit"
        break
        ;;
    esac
done
