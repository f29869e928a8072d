"""What a demonstration prints: headings, commands with what they said, results."""


class Failed(Exception):
    """A step did not show what it should."""


def heading(text):
    print(f"\n== {text}\n", flush=True)


def indent(text):
    for line in text.rstrip().splitlines():
        print(f"    {line}")


def shown(argv):
    """A command as one would type it: programs of the build without their folder."""
    return " ".join([argv[0].rsplit("/", 1)[-1], *argv[1:]])


def run(netns, *argv, check=True, more=(), timeout=60):
    """Shows a command, runs it, shows what it printed. `more` are options that only a laboratory
    needs: given, not shown."""
    print(f"{netns.name}# {shown(argv)}", flush=True)
    result = netns.run(*argv, *more, check=False, timeout=timeout)
    indent(result.stdout + result.stderr)
    if check and result.returncode != 0:
        raise Failed(f"`{shown(argv)}` ended with status {result.returncode}")
    return result


def result_line(text):
    print(f"  -> {text}", flush=True)
