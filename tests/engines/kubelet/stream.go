package kubelet

import (
	"encoding/json"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/net/websocket"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Channels of Kubernetes' remote command protocol, version 4: the first byte of each message.
const (
	channelStdin = iota
	channelStdout
	channelStderr
	channelError
	channelResize
)

// stream is the connection to a process in a container.
type stream struct {
	container
	conn *websocket.Conn
	done chan struct{}

	mu  sync.Mutex
	got [channelError + 1]strings.Builder
}

func (c container) streamExec(request *cri.ExecRequest) *stream {
	request.ContainerId = c.id
	return c.stream(must(c.Exec(c.ctx, request))(c.kubelet).Url)
}

func (c container) streamAttach(request *cri.AttachRequest) *stream {
	request.ContainerId = c.id
	return c.stream(must(c.Attach(c.ctx, request))(c.kubelet).Url)
}

func (c container) stream(address string) *stream {
	where, err := url.Parse(address)
	if err != nil {
		c.Fatalf("%v", err)
	}
	tcp, err := c.Dial("tcp", where.Host)
	if err != nil {
		c.Fatalf("%v", err)
	}
	config, err := websocket.NewConfig("ws://"+where.Host+where.RequestURI(), "http://localhost")
	if err != nil {
		c.Fatalf("%v", err)
	}
	config.Protocol = []string{"v4.channel.k8s.io"}
	conn, err := websocket.NewClient(config, tcp)
	if err != nil {
		c.Fatalf("%s: %v", address, err)
	}
	s := &stream{container: c, conn: conn, done: make(chan struct{})}
	c.Cleanup(func() { conn.Close() })
	go s.read()
	return s
}

func (s *stream) read() {
	defer close(s.done)
	for {
		var message []byte
		if err := websocket.Message.Receive(s.conn, &message); err != nil {
			return
		}
		if len(message) > 0 && int(message[0]) < len(s.got) {
			s.mu.Lock()
			s.got[message[0]].Write(message[1:])
			s.mu.Unlock()
		}
	}
}

func (s *stream) send(channel byte, text string) {
	if err := websocket.Message.Send(s.conn, append([]byte{channel}, text...)); err != nil {
		s.Fatalf("%v", err)
	}
}

func (s *stream) received(channel int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[channel].String()
}

// expect waits for a text on a channel.
func (s *stream) expect(channel int, text string) {
	s.Eventually("the stream has "+text, func() bool { return strings.Contains(s.received(channel), text) })
}

// status waits for the stream's end, and returns the process's exit status.
func (s *stream) status() string {
	<-s.done
	var status struct {
		Status, Message string
		Details         struct {
			Causes []struct{ Reason, Message string }
		}
	}
	if err := json.Unmarshal([]byte(s.received(channelError)), &status); err != nil {
		s.Fatalf("the stream's end: %q: %v", s.received(channelError), err)
	}
	for _, cause := range status.Details.Causes {
		if cause.Reason == "ExitCode" {
			return cause.Message
		}
	}
	if status.Status == "Success" {
		return "0"
	}
	return status.Message
}
