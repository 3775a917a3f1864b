# Makes a new host key beside the old one, unless an earlier run did, and writes its public half.
# $1: the file of the host key; $2: the public half of the one in use, in base64.
set -eu
umask 077
key=$1
fresh=$1.fresh
# Two runs at once come to the same key.
exec 9<"${key%/*}"
flock -w 20 9
if [ "$(ssh-keygen -y -f "$key" | cut -d ' ' -f 2)" != "$2" ]; then
    # An earlier run put the new key in its place, and sshd has not read it yet.
    exec ssh-keygen -y -f "$key"
fi
if ! ssh-keygen -y -f "$fresh" >/dev/null 2>&1; then
    rm -f "$fresh" "$fresh.part" "$fresh.part.pub"
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$fresh.part"
    sync "$fresh.part"
    mv "$fresh.part" "$fresh"
    rm -f "$fresh.part.pub"
fi
exec ssh-keygen -y -f "$fresh"
