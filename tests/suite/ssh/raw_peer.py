"""Messages that no client sends: raw_peer.py PORT KEY KNOWN_HOSTS DAEMON_PID WORK CASE [WORD...]

paramiko's transport does the encryption; the messages are made here."""
import contextlib, os, socket, struct, sys, threading, time

import paramiko
from paramiko.common import (
    MSG_CHANNEL_OPEN_FAILURE, cMSG_CHANNEL_DATA, cMSG_CHANNEL_OPEN, cMSG_CHANNEL_REQUEST, cMSG_GLOBAL_REQUEST)

PORT, KEY, KNOWN_HOSTS, DAEMON, WORK, CASE, *WORDS = sys.argv[1:]
MIB = 1024


def transport():
    connection = paramiko.Transport(("127.0.0.1", int(PORT)))
    connection.start_client(timeout=60)
    connection.auth_publickey("root", paramiko.RSAKey.from_private_key_file(KEY))
    return connection


def memory(what="VmRSS"):
    with open(f"/proc/{DAEMON}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(what + ":"))


def descriptors():
    return len(os.listdir(f"/proc/{DAEMON}/fd"))


def until(what, probe, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := probe():
            return result
        time.sleep(0.005)
    raise AssertionError(f"waited in vain for {what}")


def works(connection):
    session = connection.open_session(timeout=60)
    session.exec_command("echo works")
    assert session.makefile().read() == b"works\n"
    assert session.recv_exit_status() == 0


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">I", len(data)) + data


def send(connection, data):
    message = paramiko.Message()
    message.packet.write(data)
    connection._send_user_message(message)


def request(channel, name, payload=b"", wants_reply=False):
    reply = bytes([wants_reply])
    send(channel.transport, cMSG_CHANNEL_REQUEST + struct.pack(">I", channel.remote_chanid) + string(name) + reply + payload)


def requests():
    """Malformed and unknown channel requests fail, and the session stays usable."""
    connection = transport()
    session = connection.open_session()
    answers = []
    lock = threading.Condition()

    def answered(how):
        def note(channel, message):
            with lock:
                answers.append(how)
                lock.notify_all()
        return note
    usual = connection._channel_handler_table
    connection._channel_handler_table = {**usual, 99: answered(True), 100: answered(False)}

    def ask(name, payload=b""):
        before = len(answers)
        request(session, name, payload, wants_reply=True)
        with lock:
            assert lock.wait_for(lambda: len(answers) > before, 30), f"no answer to {name}"
        assert len(answers) == before + 1
        return answers[-1]
    size = struct.pack(">IIII", 80, 24, 0, 0)
    malformed = [
        ("env", b""), ("env", string("A")), ("env", string("A") + string("b") + b"x"), ("env", b"\xff\xff\xff\xffA"),
        ("exec", b""), ("exec", b"\0\0\0\5ab"), ("subsystem", b"\0"), ("pty-req", b""), ("pty-req", string("xterm") + size),
        ("window-change", b"\0\0"), ("signal", b""), ("signal", b"\0\0\0\7HUP"),
        ("x11-req", b"\0"), ("auth-agent-req@openssh.com", b""), ("nonsense", b"\1\2\3"), ("", b""), ("\0" * 300, b""),
        ("keepalive@openssh.com", b""), ("eow@openssh.com", b""), ("subsystem", string("netconf")),
    ]
    for name, payload in malformed:
        assert ask(name, payload) is False, (name, payload)
    for name, payload in (("window-change", size), ("signal", string("NOSUCH")), ("env", string("A\xff") + string(b"\xfe"))):
        assert ask(name, payload) is True, name
    assert ask("exec", string("echo first; read line; echo $line")) is True
    assert ask("exec", string("echo second")) is False
    assert ask("shell") is False
    session.sendall(b"third\n")
    session.shutdown_write()
    assert session.makefile().read() == b"first\nthird\n"
    connection._channel_handler_table = usual
    works(connection)


def opens():
    """Unknown channel types and malformed opens get the contract's reason and text."""
    connection = transport()
    seen = []
    arrived = threading.Condition()

    def failure(message):
        number, reason, text, language = message.get_int(), message.get_int(), message.get_text(), message.get_text()
        with arrived:
            seen.append((number, reason, text, language))
            arrived.notify_all()
    connection._handler_table = dict(connection._handler_table)
    connection._handler_table[MSG_CHANNEL_OPEN_FAILURE] = failure

    def opened(kind, payload=b"", window=1 << 20, packet=1 << 15):
        before = len(seen)
        send(connection, cMSG_CHANNEL_OPEN + string(kind) + struct.pack(">III", 77, window, packet) + payload)
        with arrived:
            assert arrived.wait_for(lambda: len(seen) > before, 30), f"no answer to {kind}"
        return seen[-1]
    for kind in ("x11", "auth-agent@openssh.com", "forwarded-tcpip", "tun@openssh.com", "nonsense", ""):
        assert opened(kind) == (77, 3, kind, "en"), (kind, seen[-1])
    assert opened("direct-tcpip") == (77, 2, "Failed to parse open channel message", "en"), seen[-1]
    assert opened("direct-tcpip", string("127.0.0.1") + b"\0")[1:3] == (2, "Failed to parse open channel message")
    assert opened("session", packet=8)[1] == 2
    target = string("127.0.0.1") + struct.pack(">I", 1) + string("127.0.0.1") + struct.pack(">I", 1)
    number, reason, text, _ = opened("direct-tcpip", target)
    assert (number, reason) == (77, 2) and text.endswith("connect: connection refused"), seen[-1]
    target = string("127.0.0.1") + struct.pack(">I", 1_000_000) + string("127.0.0.1") + struct.pack(">I", 1)
    assert opened("direct-tcpip", target)[1] == 2
    # Global requests nobody knows fail, in order, and malformed ones do not end anything.
    for name in ("keepalive@openssh.com", "no-more-sessions@openssh.com", "hostkeys-prove-00@openssh.com", "nonsense"):
        assert connection.global_request(name, wait=True) is None, name
    for payload in (b"", b"\0\0", string("127.0.0.1"), string("no such host.invalid") + struct.pack(">I", 0)):
        for name in ("tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com"):
            send(connection, cMSG_GLOBAL_REQUEST + string(name) + b"\0" + payload)
    works(connection)


def starving():
    """A window that is never opened: the command's output waits, memory does not grow, others go on."""
    connection = transport()
    works(connection)
    before = memory()
    count = 8
    sessions = []
    for number in range(count):
        session = connection.open_session(window_size=32768, max_packet_size=32768)
        # Data beyond the window stays unread, so paramiko never opens it again.
        session.exec_command("cat /dev/zero; :")
        sessions.append(session)
    for session in sessions:
        until("a full window", lambda: len(session.in_buffer) == 32768)
    time.sleep(1)
    works(connection)
    grown = memory() - before
    print(f"KiB grown for {count} channels with shut windows: {grown}")
    assert grown <= count * 4 * MIB, grown
    assert [len(session.in_buffer) for session in sessions] == [32768] * count
    connection.close()


def unread_input():
    """Input that a command does not read stays with the client."""
    connection = transport()
    works(connection)
    before = memory()
    count = 8
    sessions = []
    for number in range(count):
        session = connection.open_session()
        session.exec_command("exec sleep 60")
        session.settimeout(1)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += session.send(bytes(32768))
        except socket.timeout:
            pass
        assert sent <= 4 << 20, sent
        sessions.append(session)
    works(connection)
    grown = memory() - before
    print(f"KiB grown for {count} commands that do not read: {grown}")
    assert grown <= count * 4 * MIB, grown
    connection.close()


def beyond_the_window():
    """A client that sends more than it may is cut, or its data dropped; nothing grows and others go on."""
    connection = transport()
    session = connection.open_session()
    session.exec_command("exec sleep 60")
    before = memory()
    try:
        for _ in range(2000):
            send(connection, cMSG_CHANNEL_DATA + struct.pack(">I", session.remote_chanid) + string(bytes(32000)))
    except (OSError, EOFError, paramiko.SSHException):
        pass
    time.sleep(1)
    grown = memory() - before
    print(f"KiB grown: {grown}")
    assert grown <= 4 * MIB + 1024, grown
    works(transport())


def flood():
    """Requests by the ten thousand whose answers nobody reads."""
    connection = transport()
    session = connection.open_session()
    works(connection)
    before = memory()
    reading = threading.Event()
    read = connection.packetizer.read_all

    def held(*arguments, **named):
        reading.wait()
        return read(*arguments, **named)
    connection.packetizer.read_all = held
    sent = 0

    def pour():
        nonlocal sent
        for number in range(int(WORDS[0])):
            request(session, "env", string(f"NAME{number % 100}") + string("x" * 1000))
            request(session, "nonsense", bytes(500), wants_reply=True)
            sent = number
    usual = connection._channel_handler_table
    connection._channel_handler_table = {**usual, 99: lambda *_: None, 100: lambda *_: None}
    pourer = threading.Thread(target=pour, daemon=True)
    pourer.start()
    most = 0
    for _ in range(300):
        most = max(most, memory() - before)
        pourer.join(0.01)
    works(transport())
    print(f"KiB grown at most: {most}, requests sent: {sent}")
    assert most <= 8 * MIB, most
    reading.set()
    pourer.join(120)
    assert not pourer.is_alive()
    connection._channel_handler_table = usual
    works(connection)


def many_variables():
    """A client that sets variables without end does not fill the memory."""
    connection = transport()
    session = connection.open_session()
    works(connection)
    before = memory()
    for number in range(3000):
        request(session, "env", string(f"NAME{number}") + string("x" * 30000))
    works(connection)
    grown = memory() - before
    print(f"KiB grown: {grown}")
    assert grown <= 8 * MIB, grown


def variables_of_a_session():
    """What a client sets is not kept, once and again, for as long as its program runs."""
    connection = transport()
    works(connection)
    before = memory()
    sessions = []
    for _ in range(8):
        session = connection.open_session()
        for number in range(15):
            request(session, "env", string(f"NAME{number}") + string("x" * 125_000))
        session.exec_command("echo ready; exec sleep 60")
        assert session.recv(6) == b"ready\n"
        sessions.append(session)
    grown = memory() - before
    print(f"KiB grown for {len(sessions)} sessions with 1.8 MiB of variables each: {grown}")
    assert grown <= len(sessions) * 1 * MIB, grown
    connection.close()


def stranger():
    """A connection whose keys are exchanged but that is not logged in."""
    connection = paramiko.Transport(("127.0.0.1", int(PORT)))
    connection.start_client(timeout=60)
    return connection


def services_without_end():
    """Before login, requests by the hundred thousand whose answers nobody reads."""
    works(transport())
    before = memory()
    pourers = []
    for _ in range(8):
        connection = stranger()
        connection.packetizer.read_all = lambda *arguments, **named: threading.Event().wait()

        def pour(connection=connection):
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                for _ in range(300_000):
                    send(connection, b"\5" + string("ssh-userauth"))
        pourers.append(threading.Thread(target=pour, daemon=True))
        pourers[-1].start()
    most, last, deadline = 0, time.monotonic(), time.monotonic() + 50
    # Until nothing has changed for a while: all of them have to wait.
    while time.monotonic() < min(last + 10, deadline):
        if (grown := memory() - before) > most:
            most, last = grown, time.monotonic()
        time.sleep(0.05)
    print(f"KiB grown at most for {len(pourers)} clients: {most}")
    assert most <= len(pourers) * MIB // 2, most
    works(transport())


def services_amid_key_exchange():
    """Before login, the client begins a key exchange, does not go on, and asks for a service again and again: the end."""
    connection = stranger()
    # What reads is in its call already: it reads one answer, and no more.
    connection.packetizer.read_all = lambda *arguments, **named: threading.Event().wait()
    service = paramiko.Message()
    service.packet.write(b"\5" + string("ssh-userauth"))
    connection._send_message(service)
    connection._send_kex_init()
    try:
        for _ in range(300_000):
            connection._send_message(service)
        raise AssertionError(f"300,000 were taken; {memory()} KiB")
    except (OSError, EOFError):
        pass
    works(transport())


def failed_logins():
    """A wrong key, a wrong signature, a password too many."""
    connection = stranger()
    try:
        connection.auth_publickey("root", paramiko.RSAKey.generate(2048))
        raise AssertionError("a wrong key is taken")
    except paramiko.AuthenticationException:
        pass
    connection.close()
    connection = stranger()
    key = paramiko.RSAKey.from_private_key_file(KEY)
    sign = key.sign_ssh_data
    key.sign_ssh_data = lambda data, algorithm=None: sign(data + b"x", algorithm)
    try:
        connection.auth_publickey("root", key)
        raise AssertionError("a wrong signature is taken")
    except paramiko.SSHException as error:
        print(error)
    until("the end", lambda: not connection.is_active())
    connection = stranger()
    for _ in range(6):
        with contextlib.suppress(paramiko.SSHException, EOFError):
            connection.auth_password("root", "secret", fallback=False)
    until("the end", lambda: not connection.is_active())


def many_channels():
    """Channels without end: at some number they are refused, and closing gives room again."""
    connection = transport()
    sessions = []
    try:
        while len(sessions) < 20000:
            sessions.append(connection.open_session(timeout=30))
        raise AssertionError("20,000 channels")
    except paramiko.ChannelException as error:
        print(f"{len(sessions)} channels, then: {error}")
        assert error.code == 4, error
        assert len(sessions) >= 250
    for session in sessions:
        session.close()
    works(connection)


def sftp_nonsense():
    """Unknown packet types, lengths and handles: an answer, or the end of that channel only."""
    connection = transport()
    for packet in (
        struct.pack(">IBI", 5, 99, 1), struct.pack(">IBI", 5, 21, 1), struct.pack(">IBI", 5, 3, 1),
        struct.pack(">IB", 1, 5), struct.pack(">I", 0), struct.pack(">I", 0xffffffff) + bytes(1000),
        struct.pack(">IBI", 300_000, 6, 1) + bytes(300_000 - 5), struct.pack(">IBI", 9, 4, 7) + string(b""),
        struct.pack(">IBI", 9, 200, 3) + struct.pack(">I", 0xfffffff0),
    ):
        session = connection.open_session()
        session.invoke_subsystem("sftp")
        session.sendall(struct.pack(">IBI", 5, 1, 3))
        # On a busy machine the server has closed the channel before all is sent.
        with contextlib.suppress(OSError):
            session.sendall(packet)
            session.shutdown_write()
        session.makefile().read()
        works(connection)


def failed_start():
    """A command that cannot start, then a signal for it."""
    connection = transport()
    session = connection.open_session()
    request(session, "env", string("A") + string(b"b\0c"))
    session.exec_command("echo never")
    request(session, "signal", string("TERM"))
    status = session.recv_exit_status()
    assert status == 255, status
    session = connection.open_session()
    session.exec_command("echo " + "x" * 250_000)
    request(session, "signal", string("TERM"))
    session.recv_exit_status()
    works(connection)


def concurrent_variables():
    """Variables and terminals set by several connections at once: the predecessor crashed."""
    failures = []

    def client(number):
        try:
            connection = transport()
            for turn in range(20):
                session = connection.open_session()
                for name in range(20):
                    request(session, "env", string(f"V{name}") + string(f"{number}.{turn}"))
                session.exec_command("echo $V0,$V19")
                expected = f"{number}.{turn},{number}.{turn}\n".encode()
                said = session.makefile().read()
                assert said == expected, (said, expected)
            connection.close()
        except BaseException as error:
            failures.append(error)
    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def requests_during_scp():
    """More than 16 window changes during a copy: the predecessor froze."""
    connection = transport()
    session = connection.open_session()
    with open(os.path.join(WORK, "file"), "wb") as file:
        file.write(bytes(5_000_000))
    session.exec_command(f"scp -f {WORK}/file")
    session.sendall(b"\0")
    line = session.makefile("rb").readline()
    assert line.startswith(b"C0") and line.endswith(b" 5000000 file\n"), line
    for _ in range(1000):
        request(session, "window-change", struct.pack(">IIII", 80, 24, 0, 0))
    works(connection)
    session.sendall(b"\0")
    got = 0
    while got < 5_000_001:
        chunk = session.recv(65536)
        assert chunk, got
        got += len(chunk)
    session.sendall(b"\0")
    assert session.recv_exit_status() == 0
    # A FIFO that nobody writes: the copy waits, the connection does not.
    os.mkfifo(os.path.join(WORK, "fifo"))
    session = connection.open_session()
    session.exec_command(f"scp -f {WORK}/fifo")
    session.sendall(b"\0\0\0")
    works(connection)
    connection.close()


def keepalive():
    """A silent command's client is asked whether it is there, after 15 to 30 seconds."""
    connection = transport()
    session = connection.open_session()
    session.exec_command("exec sleep 60")
    asked = threading.Event()

    def note(channel, message):
        name, wants_reply = message.get_text(), message.get_boolean()
        if name == "keepalive@cloudfoundry.org" and wants_reply:
            asked.set()
    connection._channel_handler_table = {**connection._channel_handler_table, 98: note}
    assert asked.wait(35), "no keep-alive"
    connection.close()


def late_keys():
    """Messages of a key exchange outside of one end the connection, with a reason."""
    for message in (b"\x15", b"\x1e" + string(bytes(32)), b"\x1f" + string(b"")):
        connection = transport()
        works(connection)
        told = []
        connection._parse_disconnect = lambda message: told.append((message.get_int(), message.get_text()))
        send(connection, message)
        until("the end", lambda: told or not connection.is_active())
        assert [reason for reason, _ in told] == [2], (message, told)
        print(told)


def endings():
    """exit-status or exit-signal, then EOF, then CLOSE, after all data."""
    connection = transport()
    for command, last in (("head -c 100000 /dev/zero; exit 3", "exit-status"), ("kill -TERM $$", "exit-signal")):
        session = connection.open_session()
        seen = []
        table = connection._channel_handler_table = dict(connection._channel_handler_table)
        usual = {number: paramiko.Transport._channel_handler_table[number] for number in (94, 96, 97, 98)}

        def note(number):
            def handle(channel, message):
                if number == 98:
                    seen.append(message.get_text())
                    message.rewind()
                    message.get_int()
                elif number == 94:
                    seen[-1:] = ["data"] if seen[-1:] == ["data"] else seen[-1:] + ["data"]
                else:
                    seen.append({96: "eof", 97: "close"}[number])
                return usual[number](channel, message)
            return handle
        for number in usual:
            table[number] = note(number)
        session.exec_command(command)
        until("the end", lambda: "close" in seen)
        seen = [what for what in seen if what != "keepalive@cloudfoundry.org"]
        expected = (["data"] if "head" in command else []) + [last, "eof", "close"]
        assert seen == expected, seen


globals()[CASE]()
