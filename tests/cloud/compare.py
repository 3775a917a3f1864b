"""Compares how long chat-deploy takes with a script (`by_hand.py`) that does the least, on the pretend cloud, in turns.

usage: compare.py CHAT_DEPLOY PROGRAM OTHER_PROGRAM [ROUNDS], as root, with the Python that `setup` made; the programs are
two builds of chat-server. Writes the time of every process from its start to its end, and at last their medians.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
AT_MOST_SECONDS = 120


def main(deploy, program, other, rounds=5):
    with subprocess.Popen([HERE / "start"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as cloud:
        endpoint = cloud.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as home:
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": home,
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_REGION": "us-east-1",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                # AWS has no part in this, and cannot say under which address it sees us.
                "CHAT_DEPLOY_SSH_FROM": "127.0.0.0/8",
            }
            times = {}
            for turn in range(int(rounds)):
                for what, ours, theirs in commands(deploy, program, other, home, turn):
                    pair = [seconds(command, environment) for command in (theirs, ours)]
                    times.setdefault(what, []).append(pair)
                    print(f"{what:6} by hand {pair[0]:.2f} s, chat-deploy {pair[1]:.2f} s", flush=True)
        cloud.stdin.close()
    print("\nmedians")
    for what, pairs in times.items():
        theirs, ours = (statistics.median(column) for column in zip(*pairs))
        print(f"{what:6} by hand {theirs:.2f} s, chat-deploy {ours:.2f} s: {ours / theirs:.2f}")


def commands(deploy, program, other, home, turn):
    """Yields what is measured: what it is, how chat-deploy is told to do it, and how it is done by hand."""
    name = f"bench{turn}"

    def by_hand(verb, uploaded=program):
        return [sys.executable, HERE / "by_hand.py", verb, f"hand{turn}", f"{home}/by-hand", uploaded]

    def up(uploaded):
        return [deploy, "up", "--instance", name, "--binary", uploaded, "--yes"]

    yield "create", up(program), by_hand("create")
    yield "again", up(program), by_hand("again")
    yield "change", up(other), by_hand("change", other)
    yield "remove", [deploy, "down", "--instance", name, "--yes"], by_hand("remove")


def seconds(command, environment):
    started = time.monotonic()
    ended = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=AT_MOST_SECONDS, check=False
    )
    if ended.returncode != 0:
        sys.exit(f"{command} failed:\n{ended.stderr.decode(errors='replace')}")
    return time.monotonic() - started


if __name__ == "__main__":
    main(*map(os.path.abspath, sys.argv[1:4]), *sys.argv[4:])
