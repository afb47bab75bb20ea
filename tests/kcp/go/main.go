// Package main is kcp-go, without cipher and FEC, as the other end of Gyre's standard KCP: see ../peer.cpp, which
// has the same words. kcp-go cuts what is written at the segment size, so what it sends in message mode arrives as
// one message each segment; what it reads are the messages of its peer.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/xtaci/kcp-go/v5"
)

const (
	segmentBytes = 1400 - 24
	messageBytes = 64               // of what latency is measured with,
	messageEvery = time.Second / 30 // sent so often.
	warmUp       = 30               // Messages of each connection that are not counted.
	stragglers   = 1500 * time.Millisecond
)

var (
	normal      = flag.Bool("normal", false, "nodelay 0, interval 40, resend 0, nc 0; else 1, 10, 2, 1")
	stream      = flag.Bool("stream", false, "bytes without borders")
	rounds      = flag.Int("rounds", 1, "of messages of all sizes")
	connections = flag.Int("connections", 64, "to measure over")
	seconds     = flag.Int("seconds", 10, "to measure for")
)

func set(session *kcp.UDPSession) {
	if *normal {
		session.SetNoDelay(0, 40, 0, 0)
	} else {
		session.SetNoDelay(1, 10, 2, 1)
	}
	session.SetWindowSize(256, 256)
	session.SetMtu(1400)
	session.SetStreamMode(*stream)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "kcp-go:", err)
	os.Exit(1)
}

// message n: every byte depends on where it is.
func message(n, size int) []byte {
	out := make([]byte, size)
	for i := range out {
		out[i] = byte(n*31 + i*7 + i>>8)
	}
	return out
}

// What an echo answers to a message: its length, so that the other end sees how it was cut, and itself.
func answer(message []byte) []byte {
	if *stream {
		return message
	}
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(message))), message...)
}

func serve(at string, each func(*kcp.UDPSession)) *kcp.Listener {
	listener, err := kcp.ListenWithOptions(at, nil, 0, 0)
	if err != nil {
		fail(err)
	}
	listener.SetReadBuffer(4 << 20)
	fmt.Println("listening", listener.Addr())
	go func() {
		for {
			session, err := listener.AcceptKCP()
			if err != nil {
				return
			}
			set(session)
			go each(session)
		}
	}()
	return listener
}

func echo(session *kcp.UDPSession) {
	buffer := make([]byte, 1<<20)
	for {
		n, err := session.Read(buffer)
		if err != nil {
			return
		}
		if _, err := session.Write(answer(buffer[:n])); err != nil {
			return
		}
	}
}

func client(to string) {
	session, err := kcp.DialWithOptions(to, nil, 0, 0)
	if err != nil {
		fail(err)
	}
	set(session)
	var sent [][]byte
	var expected []byte
	for n := 0; n < *rounds; n++ {
		for _, size := range []int{1, 64, 1376, 5000, 100_000} {
			one := message(len(sent), size)
			sent = append(sent, one)
			for rest := one; len(rest) > 0; { // as kcp-go cuts it
				part := rest[:min(segmentBytes, len(rest))]
				expected = append(expected, answer(part)...)
				rest = rest[len(part):]
			}
		}
	}
	go func() {
		for _, one := range sent {
			if _, err := session.Write(one); err != nil {
				fail(err)
			}
		}
	}()
	session.SetReadDeadline(time.Now().Add(50 * time.Second))
	got := make([]byte, len(expected))
	if n, err := io.ReadFull(session, got); err != nil {
		fail(fmt.Errorf("%d of %d bytes came back: %w", n, len(got), err))
	}
	if !bytes.Equal(got, expected) {
		at := 0
		for got[at] == expected[at] {
			at++
		}
		fail(fmt.Errorf("byte %d of %d is wrong", at, len(got)))
	}
	fmt.Printf("ok %d messages %d bytes\n", len(sent), len(got))
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

type latencies struct {
	mutex    sync.Mutex
	Us       []int64 `json:"latency_us"`
	Expected int     `json:"expected"`
}

// Sends 30 times a second for as long as is measured, and hears the other end, which does the same.
func (l *latencies) talk(session *kcp.UDPSession, index int) {
	l.mutex.Lock()
	l.Expected += *seconds*30 - warmUp
	l.mutex.Unlock()
	go func() {
		begin := time.Now().Add(messageEvery * time.Duration(index) / time.Duration(*connections))
		buffer := make([]byte, messageBytes)
		for n := 0; n < *seconds*30; n++ {
			time.Sleep(time.Until(begin.Add(time.Duration(n) * messageEvery)))
			binary.LittleEndian.PutUint64(buffer, uint64(time.Now().UnixNano()))
			binary.LittleEndian.PutUint32(buffer[8:], uint32(n))
			binary.LittleEndian.PutUint32(buffer[12:], uint32(index))
			if _, err := session.Write(buffer); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 2048)
	for {
		size, err := session.Read(buffer)
		if err != nil {
			return
		}
		now := time.Now().UnixNano()
		if size != messageBytes {
			fail(fmt.Errorf("a message of %d bytes", size))
		}
		if binary.LittleEndian.Uint32(buffer[8:]) >= warmUp {
			l.mutex.Lock()
			l.Us = append(l.Us, (now-int64(binary.LittleEndian.Uint64(buffer)))/1000)
			l.mutex.Unlock()
		}
	}
}

func (l *latencies) print() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(l); err != nil {
		fail(err)
	}
}

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("expected: echo|client|latency-server|latency-client ADDRESS [flags]"))
	}
	what, where := os.Args[1], os.Args[2]
	flag.CommandLine.Parse(os.Args[3:])
	var heard latencies
	switch what {
	case "echo":
		serve(where, echo)
		io.Copy(io.Discard, os.Stdin)
	case "client":
		client(where)
	case "latency-server":
		var mutex sync.Mutex
		index := 0
		serve(where, func(session *kcp.UDPSession) {
			mutex.Lock()
			mine := index
			index++
			mutex.Unlock()
			heard.talk(session, mine)
		})
		io.Copy(io.Discard, os.Stdin)
		heard.print()
	case "latency-client":
		for i := 0; i < *connections; i++ {
			session, err := kcp.DialWithOptions(where, nil, 0, 0)
			if err != nil {
				fail(err)
			}
			set(session)
			go heard.talk(session, i)
		}
		time.Sleep(time.Duration(*seconds)*time.Second + messageEvery + stragglers)
		heard.print()
	default:
		fail(fmt.Errorf("unknown: %s", what))
	}
}
