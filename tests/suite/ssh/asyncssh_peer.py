"""What AsyncSSH does with the server: asyncssh_peer.py PORT KEY KNOWN_HOSTS DAEMON_PID WORK CASE [WORD...]"""
import asyncio, hashlib, os, sys

import asyncssh

PORT, KEY, KNOWN_HOSTS, DAEMON, WORK, CASE, *WORDS = sys.argv[1:]


def connect(**options):
    return asyncssh.connect(
        "127.0.0.1", int(PORT), username="root", client_keys=[KEY], known_hosts=KNOWN_HOSTS, config=None,
        agent_path=None, **options)


def work(name):
    return os.path.join(WORK, name)


def write(name, data):
    with open(work(name), "wb") as file:
        file.write(data)
    return work(name)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def memory():
    """Resident KiB of the daemon."""
    with open(f"/proc/{DAEMON}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def descriptors():
    return len(os.listdir(f"/proc/{DAEMON}/fd"))


async def settled(what, probe):
    for _ in range(6000):
        if probe():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"waited in vain for {what}")


async def commands():
    async with connect() as box:
        result = await box.run("echo out; echo error >&2; exit 3")
        assert (result.stdout, result.stderr, result.exit_status) == ("out\n", "error\n", 3), result
        for name in WORDS or ("TERM", "KILL", "USR1", "SEGV"):
            result = await box.run(f"ulimit -c 0; kill -{name} $$; sleep 60")
            assert result.exit_signal and result.exit_signal[0] == name, (name, result.exit_signal)
        result = await box.run("echo $ONE", env={"ONE": "two words"})
        assert result.stdout == "two words\n", result
        data = os.urandom(2_000_000)
        result = await box.run("sha256sum", input=data, encoding=None)
        assert result.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
        # Signals sent by the client reach the command.
        process = await box.create_process("trap 'echo got it; exit 5' USR1; echo ready; while :; do sleep 0.01; done")
        assert await process.stdout.readline() == "ready\n"
        process.send_signal("USR1")
        result = await process.wait()
        assert (result.stdout, result.exit_status) == ("got it\n", 5), result
        results = await asyncio.gather(*(box.run(f"echo {number}") for number in range(50)))
        assert [result.stdout for result in results] == [f"{number}\n" for number in range(50)]


async def terminal():
    async with connect() as box:
        modes = {asyncssh.PTY_VINTR: 24, asyncssh.PTY_ECHO: 0, asyncssh.PTY_ICRNL: 1}
        process = await box.create_process(
            "stty -a; read key; stty size; exit 4", term_type="vt100", term_size=(132, 43, 0, 0), term_modes=modes,
            encoding="utf-8")
        said = ""
        while "-echo " not in said:
            said += await process.stdout.read(1000)
        assert "rows 43; columns 132" in said and "intr = ^X" in said, said
        process.change_terminal_size(99, 17)
        process.stdin.write("\n")
        result = await process.wait()
        assert result.stdout.endswith("17 99\r\n") and result.exit_status == 4, result


async def sftp():
    data = os.urandom(20_000_001)
    source = write("source", data)
    async with connect() as box, box.start_sftp_client() as files:
        await files.put(source, work("there"), block_size=65536, max_requests=128)
        assert read(work("there")) == data
        await files.get(work("there"), work("back"), max_requests=64)
        assert read(work("back")) == data
        await files.mkdir(work("dir"))
        await files.makedirs(work("dir/a/b"))
        await files.rename(work("there"), work("dir/moved"))
        write("old", b"old")
        await files.posix_rename(work("dir/moved"), work("old"))
        assert read(work("old")) == data
        # Only for servers called OpenSSH does AsyncSSH send the two names in OpenSSH's order, which is ours.
        names = ["old", work("link")]
        await files.symlink(*(names if "OpenSSH" in box.get_extra_info("server_version") else reversed(names)))
        assert await files.readlink(work("link")) == "old"
        await files.link(work("old"), work("hard"))
        assert (await files.stat(work("hard"))).size == len(data)
        assert (await files.lstat(work("link"))).size == 3
        await files.chmod(work("old"), 0o4751)
        assert (await files.stat(work("old"))).permissions & 0o7777 == 0o4751
        await files.utime(work("old"), (1_000_000_000, 1_100_000_000))
        attributes = await files.stat(work("old"))
        assert (attributes.atime, attributes.mtime) == (1_000_000_000, 1_100_000_000), attributes
        await files.truncate(work("old"), 100)
        assert read(work("old")) == data[:100]
        assert (await files.statvfs(work(""))).bsize > 0
        names = sorted(name for name in await files.listdir(work("")) if name not in (".", ".."))
        assert names == ["back", "dir", "hard", "link", "old", "source"], names
        assert sorted(await files.glob(work("*l*"))) == [work("link"), work("old")]
        async with files.open(work("appended"), "ab") as file:
            await file.write(b"one ")
            await file.write(b"two")
            await file.fsync()
        async with files.open(work("appended"), "ab") as file:
            await file.write(b" three")
        assert read(work("appended")) == b"one two three", read(work("appended"))
        async with files.open(work("source"), "rb") as file:
            assert (await file.statvfs()).bsize == (await files.statvfs(work(""))).bsize
            assert await file.read(1000, 19_999_500) == data[19_999_500:]
            assert (await file.stat()).size == len(data)
        if files.supports_remote_copy:
            await files.remote_copy(work("source"), work("copied"))
            assert read(work("copied")) == data
        try:
            await files.open(work("dir/none"), "rb")
            raise AssertionError("a missing file was opened")
        except asyncssh.SFTPNoSuchFile:
            pass
        await files.rmtree(work("dir"))
        assert not os.path.exists(work("dir"))
        print("version", files.version, "copies", files.supports_remote_copy)


async def scp():
    os.makedirs(work("tree/sub"))
    data = os.urandom(1_000_000)
    write("tree/sub/file", data)
    write("tree/empty", b"")
    async with connect() as box:
        await asyncssh.scp(work("tree"), (box, work("there")), recurse=True, preserve=True)
        assert read(work("there/sub/file")) == data
        await asyncssh.scp((box, work("there")), work("back"), recurse=True, preserve=True)
        assert read(work("back/sub/file")) == data and os.path.exists(work("back/empty"))
        try:
            await asyncssh.scp((box, work("missing")), work("back"))
            raise AssertionError("a missing file was copied")
        except (OSError, asyncssh.SFTPError, asyncssh.misc.Error) as error:
            assert "o such file" in str(error), error


async def echo(reader, writer):
    writer.write(b"hello ")
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    writer.close()


async def asked(reader, writer, data):
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    assert answer == b"hello " + data, len(answer)
    writer.close()


async def forwards():
    service = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = service.sockets[0].getsockname()[1]
    local_service = await asyncio.start_unix_server(echo, work("service"))
    data = os.urandom(3_000_000)
    async with connect() as box:
        listener = await box.forward_local_port("127.0.0.1", 0, "127.0.0.1", port)
        await asked(*await asyncio.open_connection("127.0.0.1", listener.get_port()), data)
        listener = await box.forward_remote_port("127.0.0.1", 0, "127.0.0.1", port)
        await asked(*await asyncio.open_connection("127.0.0.1", listener.get_port()), data)
        listener.close()
        await listener.wait_closed()
        await box.forward_local_path(work("local"), work("service"))
        await asked(*await asyncio.open_unix_connection(work("local")), data)
        await box.forward_remote_path(work("remote"), work("service"))
        await asked(*await asyncio.open_unix_connection(work("remote")), data)
        await asked(*await box.open_connection("127.0.0.1", port, encoding=None), data)
        await asked(*await box.open_unix_connection(work("service"), encoding=None), data)
        try:
            await box.open_connection("127.0.0.1", 1)
            raise AssertionError("a closed port was reached")
        except asyncssh.ChannelOpenError as error:
            print(error.code, error.reason)
    service.close()
    local_service.close()


async def rekey():
    """Keys change every MiB, and the server's data goes on."""
    data = os.urandom(30_000_000)
    async with connect(rekey_bytes="1M") as box:
        result = await box.run("cat", input=data, encoding=None)
        assert result.stdout == data
        async with box.start_sftp_client() as files:
            await files.put(write("source", data), work("there"))
            await files.get(work("there"), work("back"))
        assert read(work("back")) == data


async def short_channels():
    count = int(WORDS[0])
    async with connect() as box:
        async def few(times):
            for _ in range(times):
                result = await box.run("exit 3")
                assert result.exit_status == 3, result
        await asyncio.gather(*(few(50) for _ in range(20)))
        before = memory(), descriptors()
        await asyncio.gather(*(few(count // 20) for _ in range(20)))
        await settled("descriptors", lambda: descriptors() <= before[1])
        after = memory(), descriptors()
    print(f"KiB and descriptors before {before}, after {count} channels {after}")
    assert after[0] <= before[0] + 1024, (before, after)


async def idle_connections():
    count = int(WORDS[0])
    before = memory(), descriptors()
    boxes = []
    for start in range(0, count, 20):
        boxes += await asyncio.gather(*(connect(keepalive_interval=0) for _ in range(min(20, count - start))))
    full = memory()
    assert (await boxes[0].run("echo fine")).stdout == "fine\n"
    async with connect() as box:
        assert (await box.run("echo fine")).stdout == "fine\n"
    for box in boxes:
        box.close()
    await asyncio.gather(*(box.wait_closed() for box in boxes))
    await settled("descriptors", lambda: descriptors() <= before[1])
    after = memory()
    print(f"KiB before {before[0]}, with {count} connections {full}, after {after}")
    assert (full - before[0]) / count <= 300, (before, full)


async def sessions():
    """Sessions at the same time, over a few connections, each with a command that talks."""
    count = int(WORDS[0])
    before = descriptors()
    boxes = await asyncio.gather(*(connect() for _ in range(4)))
    open_sessions = await asyncio.gather(*(boxes[number % 4].create_process("cat; exit 6") for number in range(count)))
    for number, session in enumerate(open_sessions):
        session.stdin.write(f"line {number}\n")
    for number, session in enumerate(open_sessions):
        assert await session.stdout.readline() == f"line {number}\n"
    for session in open_sessions:
        session.stdin.write_eof()
    results = await asyncio.gather(*(session.wait() for session in open_sessions))
    assert [result.exit_status for result in results] == [6] * count
    for box in boxes:
        box.close()
        await box.wait_closed()
    await settled("descriptors", lambda: descriptors() <= before)


async def memory_of_sessions():
    """Sessions with a client each, at the same time: the second time they take no more than the first."""
    idle = descriptors()
    async with connect() as box:
        await box.run("true")
    taken = []
    for _ in range(2):
        boxes = await asyncio.gather(*(connect() for _ in range(int(WORDS[0]))))
        sessions = [await box.create_process("cat") for box in boxes]
        for session in sessions:
            session.stdin.write("line\n")
            assert await session.stdout.readline() == "line\n"
        taken.append(memory())
        for box in boxes:
            box.close()
            await box.wait_closed()
        await settled("descriptors", lambda: descriptors() <= idle)
    assert taken[1] <= taken[0] + 512, taken


async def algorithms():
    """Connects with each word `kex:NAME`, `cipher:NAME`, `mac:NAME`, `host:NAME`, `signature:NAME`."""
    options = {"kex": "kex_algs", "cipher": "encryption_algs", "mac": "mac_algs", "host": "server_host_key_algs",
               "signature": "signature_algs"}
    for word in WORDS:
        kind, name = word.split(":")
        named = {options[kind]: [name]}
        if kind == "mac":
            named["encryption_algs"] = ["aes128-ctr"]
        try:
            async with connect(**named) as box:
                data = os.urandom(300_000)
                result = await box.run("cat", input=data, encoding=None)
                assert result.stdout == data
        except Exception as error:
            raise AssertionError(f"{word}: {error!r}") from error


asyncio.run(globals()[CASE]())
