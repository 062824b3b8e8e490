// What a client built with Go's x/crypto/ssh does with the server, as the platform's proxy and `cf ssh` are (contract sshd 15):
// go_peer PORT KEY KNOWN_HOSTS DAEMON_PID WORK CASE [WORD...]
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

var (
	port, key, knownHosts = os.Args[1], os.Args[2], os.Args[3]
	words                 = os.Args[7:]
	// How often the server proved that it has its host key: once in each key exchange.
	exchanges int
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func expect(holds bool, about ...any) {
	if !holds {
		panic(fmt.Sprint(about...))
	}
}

// As the proxy connects: without a user's name, by a fingerprint of the kind that the Cloud Controller gives.
func settings() *ssh.ClientConfig {
	fingerprint := func(key ssh.PublicKey) string { return fmt.Sprintf("% x", sha1.Sum(key.Marshal())) }
	_, _, expected, _, _, err := ssh.ParseKnownHosts(must(os.ReadFile(knownHosts)))
	check(err)
	return &ssh.ClientConfig{
		Auth: []ssh.AuthMethod{ssh.PublicKeys(signer())},
		HostKeyCallback: func(_ string, _ net.Addr, shown ssh.PublicKey) error {
			exchanges++
			if fingerprint(shown) != fingerprint(expected) {
				return errors.New("another host key")
			}
			return nil
		},
		Timeout: time.Minute,
	}
}

func signer() ssh.Signer { return must(ssh.ParsePrivateKey(must(os.ReadFile(key)))) }

func connect(settings *ssh.ClientConfig) *ssh.Client {
	return must(ssh.Dial("tcp", "127.0.0.1:"+port, settings))
}

func status(err error) int {
	if err == nil {
		return 0
	}
	return err.(*ssh.ExitError).ExitStatus()
}

// Sends so many bytes through `cat` and back.
func echo(box *ssh.Client, size int) {
	data := make([]byte, size)
	must(rand.Read(data))
	session := must(box.NewSession())
	session.Stdin = bytes.NewReader(data)
	expect(bytes.Equal(must(session.Output("cat")), data), "other data came back")
}

func commands() {
	box := connect(settings())
	session := must(box.NewSession())
	var stdout, stderr bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = strings.NewReader("input"), &stdout, &stderr
	check(session.Setenv("ONE", "two words"))
	err := session.Run(`cat; echo " $ONE"; echo error >&2; exit 3`)
	expect(status(err) == 3 && stdout.String() == "input two words\n" && stderr.String() == "error\n", err, &stdout, &stderr)
	err = must(box.NewSession()).Run("kill -TERM $$")
	expect(err.(*ssh.ExitError).Signal() == "TERM", err)

	// What cf sends all the time; it may be refused, but not left unanswered.
	_, _, err = box.SendRequest("keepalive@cloudfoundry.org", true, nil)
	check(err)
	check(box.Close())
}

// Like `cf ssh` with a terminal.
func terminal() {
	box := connect(settings())
	session := must(box.NewSession())
	modes := ssh.TerminalModes{ssh.ECHO: 1, ssh.TTY_OP_ISPEED: 115200, ssh.TTY_OP_OSPEED: 115200}
	check(session.RequestPty("xterm", 43, 132, modes))
	keys, screen := must(session.StdinPipe()), must(session.StdoutPipe())
	check(session.Shell())
	said := ""
	shows := func(text string) {
		for chunk := make([]byte, 1000); !strings.Contains(said, text); {
			said += string(chunk[:must(screen.Read(chunk))])
		}
	}
	fmt.Fprint(keys, "echo $TERM $(stty size)\r")
	shows("xterm 43 132\r\n")
	check(session.WindowChange(17, 99))
	fmt.Fprint(keys, "echo now $(stty size); exit 4\r")
	shows("now 17 99\r\n")
	err := session.Wait()
	expect(status(err) == 4, err)
	check(box.Close())
}

func forwards() {
	service := must(net.Listen("tcp", "127.0.0.1:0"))
	box := connect(settings())
	answer(service)
	ask(must(box.Dial("tcp", service.Addr().String())))
	_, err := box.Dial("tcp", "127.0.0.1:1")
	refused, ok := err.(*ssh.OpenChannelError)
	expect(ok && refused.Reason == ssh.ConnectionFailed, err)

	listener := must(box.Listen("tcp", "127.0.0.1:0"))
	answer(listener)
	ask(must(net.Dial("tcp", listener.Addr().String())))
	check(listener.Close())
	_, err = net.Dial("tcp", listener.Addr().String())
	expect(err != nil, "the port still listens")
	check(box.Close())
}

// Gives the first client back what it sends, until its end.
func answer(listener net.Listener) {
	go func() {
		peer := must(listener.Accept())
		must(io.Copy(peer, peer))
		check(peer.Close())
	}()
}

func ask(peer net.Conn) {
	data := make([]byte, 3_000_000)
	must(rand.Read(data))
	go func() {
		must(peer.Write(data))
		check(peer.(interface{ CloseWrite() error }).CloseWrite())
	}()
	expect(bytes.Equal(must(io.ReadAll(peer)), data), "other data came back")
}

// New keys every MiB, either way.
func rekey() {
	settings := settings()
	settings.RekeyThreshold = 1 << 20
	box := connect(settings)
	echo(box, 64<<20)
	expect(exchanges > 40, exchanges, " key exchanges")
	check(box.Close())
}

// Connects with each of the words `kex:NAME`, `cipher:NAME`, `mac:NAME`, `host:NAME` in turn.
func algorithms() {
	for _, word := range words {
		settings := settings()
		kind, name, _ := strings.Cut(word, ":")
		switch names := []string{name}; kind {
		case "kex":
			settings.KeyExchanges = names
		case "cipher":
			settings.Ciphers = names
		case "mac":
			settings.MACs, settings.Ciphers = names, []string{"aes128-ctr"}
		case "host":
			settings.HostKeyAlgorithms = names
		}
		box, err := ssh.Dial("tcp", "127.0.0.1:"+port, settings)
		expect(err == nil, word, ": ", err)
		echo(box, 300_000)
		check(box.Close())
	}
}

// With what x/crypto knew in 2018: of RSA keys, signatures with SHA-1 only.
func of2018() {
	settings := settings()
	settings.KeyExchanges = []string{
		"curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
		"diffie-hellman-group14-sha1",
	}
	settings.Ciphers = []string{
		"aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr",
	}
	settings.MACs = []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-256", "hmac-sha1", "hmac-sha1-96"}
	settings.HostKeyAlgorithms = []string{"ssh-rsa"}
	// A signer that has no say in the algorithm.
	settings.Auth = []ssh.AuthMethod{ssh.PublicKeys(struct{ ssh.Signer }{signer()})}
	box, err := ssh.Dial("tcp", "127.0.0.1:"+port, settings)
	if err != nil {
		fmt.Print(err)
		os.Exit(1)
	}
	echo(box, 300_000)
	check(box.Close())
}

// Stands between one client and the server as the proxy does: whatever comes on one side goes out on the other.
func proxy() {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	front := &ssh.ServerConfig{NoClientAuth: true}
	front.AddHostKey(signer())
	user, channels, requests, err := ssh.NewServerConn(must(listener.Accept()), front)
	check(err)
	address := "127.0.0.1:" + port
	box, boxChannels, boxRequests, err := ssh.NewClientConn(must(net.Dial("tcp", address)), address, settings())
	check(err)
	go relayRequests(requests, box.SendRequest)
	go relayRequests(boxRequests, user.SendRequest)
	go relayChannels(boxChannels, user)
	go func() {
		relayChannels(channels, box)
		box.Close()
	}()
	box.Wait()
	user.Close()
}

func relayRequests(requests <-chan *ssh.Request, send func(string, bool, []byte) (bool, []byte, error)) {
	for request := range requests {
		ok, payload, err := send(request.Type, request.WantReply, request.Payload)
		if request.WantReply {
			request.Reply(ok && err == nil, payload)
		}
	}
}

func relayChannels(opens <-chan ssh.NewChannel, other ssh.Conn) {
	for open := range opens {
		there, thereRequests, err := other.OpenChannel(open.ChannelType(), open.ExtraData())
		if refused, ok := err.(*ssh.OpenChannelError); ok {
			open.Reject(refused.Reason, refused.Message)
			continue
		} else if err != nil {
			return
		}
		here, hereRequests, err := open.Accept()
		if err != nil {
			return
		}
		go relayChannel(here, there, hereRequests)
		go relayChannel(there, here, thereRequests)
	}
}

// One direction; closed once nothing can come any more, neither data nor requests.
func relayChannel(from, to ssh.Channel, requests <-chan *ssh.Request) {
	var data sync.WaitGroup
	data.Add(2)
	go func() { io.Copy(to, from); data.Done() }()
	go func() { io.Copy(to.Stderr(), from.Stderr()); data.Done() }()
	go func() { data.Wait(); to.CloseWrite() }()
	relayRequests(requests, func(name string, wantReply bool, payload []byte) (bool, []byte, error) {
		ok, err := to.SendRequest(name, wantReply, payload)
		return ok, nil, err
	})
	data.Wait()
	to.Close()
}

func main() {
	map[string]func(){
		"commands": commands, "terminal": terminal, "forwards": forwards, "rekey": rekey,
		"algorithms": algorithms, "of2018": of2018, "proxy": proxy,
	}[os.Args[6]]()
}
