//! The KCP of crates.io as the other end of Gyre's standard KCP, with the words `echo` and `client` of ../../peer.cpp.
//! One link over one socket; whole messages, fragmented by KCP itself.
use kcp::Kcp;
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

struct Options {
    normal: bool,
    stream: bool,
    rounds: usize,
}

/// Where KCP writes its datagrams; known once the peer is.
#[derive(Clone)]
struct Wire {
    socket: Rc<UdpSocket>,
    to: Rc<Cell<Option<SocketAddr>>>,
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(to) = self.to.get() {
            let _ = self.socket.send_to(bytes, to); // what the kernel refuses is lost, as by a network
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn fail(text: impl std::fmt::Display) -> ! {
    println!("rust kcp: {text}");
    std::process::exit(1)
}

fn need<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| fail(error))
}

fn message(n: usize, size: usize) -> Vec<u8> {
    (0..size).map(|i| (n * 31 + i * 7 + (i >> 8)) as u8).collect()
}

/// What an echo answers: how long the message was, and itself; of a stream only itself.
fn answer(message: &[u8], options: &Options) -> Vec<u8> {
    let mut out = Vec::new();
    if !options.stream {
        out.extend((message.len() as u32).to_le_bytes());
    }
    out.extend(message);
    out
}

struct Link {
    wire: Wire,
    kcp: Option<Kcp<Wire>>,
    began: Instant,
    buffer: Vec<u8>,
}

impl Link {
    fn new(at: &str) -> Link {
        let socket = need(UdpSocket::bind(at));
        let wire = Wire { socket: Rc::new(socket), to: Rc::new(Cell::new(None)) };
        Link { wire, kcp: None, began: Instant::now(), buffer: vec![0; 1 << 20] }
    }

    fn open(&mut self, conv: u32, to: SocketAddr, options: &Options) {
        self.wire.to.set(Some(to));
        let mut kcp = if options.stream { Kcp::new_stream(conv, self.wire.clone()) } else { Kcp::new(conv, self.wire.clone()) };
        if options.normal {
            kcp.set_nodelay(false, 40, 0, false);
        } else {
            kcp.set_nodelay(true, 10, 2, true);
        }
        kcp.set_wndsize(256, 256);
        need(kcp.set_mtu(1400));
        need(kcp.update(self.now()));
        self.kcp = Some(kcp);
    }

    fn now(&self) -> u32 {
        self.began.elapsed().as_millis() as u32
    }

    /// Waits for a datagram or until KCP wants to be called; then hands over what arrived.
    fn turn(&mut self, options: &Options, mut hear: impl FnMut(&mut Kcp<Wire>, &[u8])) {
        let wait = self.kcp.as_ref().map_or(10, |kcp| kcp.check(self.now())).clamp(1, 10);
        need(self.wire.socket.set_read_timeout(Some(Duration::from_millis(wait.into()))));
        if let Ok((size, from)) = self.wire.socket.recv_from(&mut self.buffer) {
            let datagram = self.buffer[..size].to_vec();
            if self.kcp.is_none() && size >= kcp::KCP_OVERHEAD {
                self.open(kcp::get_conv(&datagram), from, options);
            }
            if let Some(kcp) = &mut self.kcp {
                need(kcp.input(&datagram));
            }
        }
        let now = self.now();
        if let Some(kcp) = &mut self.kcp {
            need(kcp.update(now));
            while let Ok(size) = kcp.recv(&mut self.buffer) {
                hear(kcp, &self.buffer[..size]);
            }
        }
    }
}

fn echo(at: &str, options: &Options) {
    let mut link = Link::new(at);
    println!("listening {}", need(link.wire.socket.local_addr()));
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    loop {
        link.turn(options, |kcp, bytes| {
            need(kcp.send(&answer(bytes, options)));
        });
    }
}

fn client(to: &str, options: &Options) {
    let mut link = Link::new("127.0.0.1:0");
    link.open(0x67797265, need(to.parse::<SocketAddr>()), options);
    let (mut expected, mut messages) = (Vec::new(), 0);
    for _ in 0..options.rounds {
        for size in [1, 64, 1376, 5000, 100_000] {
            let one = message(messages, size);
            messages += 1;
            expected.extend(answer(&one, options));
            need(link.kcp.as_mut().unwrap().send(&one));
        }
    }
    let (mut got, end) = (0, Instant::now() + Duration::from_secs(50));
    while got < expected.len() {
        if Instant::now() > end {
            fail(format!("{got} of {} bytes came back", expected.len()));
        }
        link.turn(options, |_, bytes| {
            if !expected[got..].starts_with(bytes) {
                fail(format!("the {} bytes from byte {got} on are wrong", bytes.len()));
            }
            got += bytes.len();
        });
    }
    println!("ok {messages} messages {got} bytes");
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut options = Options { normal: false, stream: false, rounds: 1 };
    let mut rest = words.iter().skip(2);
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-normal" => options.normal = true,
            "-stream" => options.stream = true,
            "-rounds" => options.rounds = need(rest.next().map_or("", |n| n).parse()),
            _ => fail(format!("unknown: {word}")),
        }
    }
    match (words.first().map(String::as_str), words.get(1)) {
        (Some("echo"), Some(at)) => echo(at, &options),
        (Some("client"), Some(to)) => client(to, &options),
        _ => fail("expected: echo|client ADDRESS [-normal] [-stream] [-rounds N]"),
    }
}
