"""What paramiko does with the server: paramiko_peer.py PORT KEY KNOWN_HOSTS DAEMON_PID WORK CASE [WORD...]"""
import io, os, socket, sys, threading, time

import paramiko

PORT, KEY, KNOWN_HOSTS, DAEMON, WORK, CASE, *WORDS = sys.argv[1:]


def key():
    for kind in (paramiko.RSAKey, paramiko.Ed25519Key, paramiko.ECDSAKey):
        try:
            return kind.from_private_key_file(KEY)
        except paramiko.SSHException:
            pass
    raise AssertionError("no key")


def client():
    box = paramiko.SSHClient()
    box.load_host_keys(KNOWN_HOSTS)
    box.connect("127.0.0.1", int(PORT), "root", pkey=key(), look_for_keys=False, allow_agent=False)
    return box


def transport():
    connection = paramiko.Transport(("127.0.0.1", int(PORT)))
    connection.start_client(timeout=30)
    return connection


def work(name):
    return os.path.join(WORK, name)


def commands():
    box = client()
    stdin, stdout, stderr = box.exec_command("cat; echo error >&2; exit 3", environment={"A": "1"})
    stdin.write(b"input")
    stdin.channel.shutdown_write()
    assert stdout.read() == b"input" and stderr.read() == b"error\n"
    assert stdout.channel.recv_exit_status() == 3
    shell = box.invoke_shell("vt100", 100, 30)
    shell.send(b"stty size; echo $TERM; read key; stty size; exit 5\n")
    said = b""
    while b"30 100" not in said or said.count(b"vt100") < 1:
        said += shell.recv(1000)
    shell.resize_pty(77, 11)
    shell.send(b"\n")
    while chunk := shell.recv(1000):
        said += chunk
    assert b"11 77" in said, said
    assert shell.recv_exit_status() == 5
    box.close()


def attempts():
    """Several ways to log in on one connection: each asks for the service again."""
    connection = transport()
    for refused in (
        lambda: connection.auth_none("root"),
        lambda: connection.auth_publickey("root", paramiko.RSAKey.generate(2048)),
        lambda: connection.auth_password("root", "secret", fallback=False),
        lambda: connection.auth_publickey("root", paramiko.ECDSAKey.generate()),
    ):
        try:
            refused()
            raise AssertionError("let in")
        except paramiko.AuthenticationException as error:
            assert not isinstance(error, paramiko.BadAuthenticationType) or error.allowed_types == ["publickey"], error
    connection.auth_publickey("root", key())
    session = connection.open_session()
    session.exec_command("echo in")
    assert session.makefile().read() == b"in\n"
    connection.close()


def too_many_attempts():
    connection = transport()
    for number in range(10):
        try:
            connection.auth_publickey("root", paramiko.ECDSAKey.generate())
            raise AssertionError("let in")
        except paramiko.SSHException as error:
            if not connection.is_active():
                print(number, error)
                assert 5 <= number <= 6, number
                return
    raise AssertionError("ten attempts and still no end")


def sftp():
    data = os.urandom(10_000_001)
    box = client()
    files = box.open_sftp()
    # putfo pipelines its writes, getfo prefetches the whole file: over 300 requests are under way at once.
    assert files.putfo(io.BytesIO(data), work("there")).st_size == len(data)
    back = io.BytesIO()
    files.getfo(work("there"), back, prefetch=True)
    assert back.getvalue() == data
    with files.open(work("there"), "rb") as file:
        file.prefetch(len(data))
        assert file.read(100) == data[:100]
        file.seek(9_000_000)
        assert file.read() == data[9_000_000:]
        chunks = list(file.readv([(number * 40_000, 30_000) for number in range(200)]))
        assert all(chunk == data[number * 40_000:][:30_000] for number, chunk in enumerate(chunks))
    files.mkdir(work("dir"), 0o750)
    assert os.stat(work("dir")).st_mode & 0o777 == 0o750
    files.posix_rename(work("there"), work("dir/file"))
    files.symlink("file", work("dir/link"))
    assert files.readlink(work("dir/link")) == "file"
    assert files.normalize(work("dir/../dir/./file")) == work("dir/file")
    files.truncate(work("dir/file"), 10)
    files.chmod(work("dir/file"), 0o600)
    files.utime(work("dir/file"), (11, 22))
    about = files.stat(work("dir/file"))
    assert (about.st_size, about.st_mode & 0o777, about.st_atime, about.st_mtime) == (10, 0o600, 11, 22), about
    names = sorted(entry.filename for entry in files.listdir_attr(work("dir")) if entry.filename not in (".", ".."))
    assert names == ["file", "link"], names
    assert len([name for name in files.listdir_iter(work("dir"))]) >= 2
    with files.open(work("dir/file"), "a") as file:
        file.write(b"more")
    assert open(work("dir/file"), "rb").read() == data[:10] + b"more"
    files.remove(work("dir/link"))
    files.remove(work("dir/file"))
    files.rmdir(work("dir"))
    try:
        files.stat(work("dir"))
        raise AssertionError("still there")
    except FileNotFoundError:
        pass
    box.close()


def forwards():
    service = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            connection, _ = service.accept()
            connection.sendall(b"hello")
            connection.shutdown(socket.SHUT_WR)
    threading.Thread(target=serve, daemon=True).start()
    box = client()
    connection = box.get_transport()
    channel = connection.open_channel("direct-tcpip", service.getsockname(), ("127.0.0.1", 1))
    assert channel.makefile().read() == b"hello"
    try:
        connection.open_channel("direct-tcpip", ("127.0.0.1", 1), ("127.0.0.1", 1))
        raise AssertionError("a closed port was reached")
    except paramiko.ChannelException as error:
        assert error.code == 2, error
    port = connection.request_port_forward("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", port)) as peer:
        accepted = connection.accept(30)
        accepted.sendall(b"there")
        accepted.shutdown_write()
        assert peer.makefile("rb").read() == b"there"
        # The other half is still open.
        peer.sendall(b"and back")
        peer.shutdown(socket.SHUT_WR)
        assert accepted.makefile().read() == b"and back"
    connection.cancel_port_forward("127.0.0.1", port)
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            time.sleep(0.01)
        except ConnectionRefusedError:
            break
    else:
        raise AssertionError("the port still listens")
    box.close()


def rekey():
    """Both sides ask for new keys while data flows in both directions."""
    data = os.urandom(20_000_000)
    box = client()
    stdin, stdout, _ = box.exec_command("cat")

    def send():
        for start in range(0, len(data), 1_000_000):
            stdin.write(data[start:start + 1_000_000])
            box.get_transport().renegotiate_keys()
        stdin.channel.shutdown_write()
    sender = threading.Thread(target=send)
    sender.start()
    assert stdout.read() == data
    sender.join()
    box.close()


globals()[CASE]()
