//! Mock brokers that announce other addresses than their own, like a real broker whose `advertised.listeners` is wrong.
//!
//! Each broker is behind a forwarder. The forwarder passes on what clients send. In the answers, it replaces each
//! broker's own address by the one to announce. All host names have nine characters like `127.0.0.1`, so that nothing
//! else in an answer moves, whatever the request was.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::Kafka;

const HOST: &[u8; 9] = b"127.0.0.1";
/// A name that no name server knows.
pub const NO_SUCH_HOST: &str = "kafka-int";

/// By the broker's own port: the host and the port to announce.
type Given = Arc<Mutex<Vec<(u16, [u8; 9], u16)>>>;

pub struct Advertising {
    /// The forwarders' addresses, for `kafka.brokers`.
    pub brokers: String,
    given: Given,
    forwarders: Vec<SocketAddr>,
    is_over: Arc<AtomicBool>,
}

impl Advertising {
    /// All brokers announce the addresses of their forwarders, until they are told otherwise.
    pub fn of(kafka: &Kafka) -> Advertising {
        let own: Vec<SocketAddr> = kafka.brokers.split(',').map(|addr| addr.parse().unwrap()).collect();
        let listeners: Vec<TcpListener> = own.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let forwarders: Vec<SocketAddr> = listeners.iter().map(|each| each.local_addr().unwrap()).collect();
        let given = own.iter().zip(&forwarders);
        let given: Given = Arc::new(Mutex::new(
            given
                .map(|(own, forwarder)| (own.port(), *HOST, forwarder.port()))
                .collect(),
        ));
        let is_over = Arc::new(AtomicBool::new(false));
        for (listener, own) in listeners.into_iter().zip(own) {
            let (given, is_over) = (given.clone(), is_over.clone());
            thread::spawn(move || {
                for client in listener.incoming().map_while(Result::ok) {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    forward(client, own, &given);
                }
            });
        }
        let names: Vec<String> = forwarders.iter().map(ToString::to_string).collect();
        Advertising {
            brokers: names.join(","),
            given,
            forwarders,
            is_over,
        }
    }

    /// The broker with this number (from 1 on) announces this address. The host has nine characters.
    pub fn give(&self, broker: usize, host: &str, port: u16) {
        let host = host.as_bytes().try_into().expect("nine letters");
        let mut given = self.given.lock().unwrap();
        let own = given[broker - 1].0;
        given[broker - 1] = (own, host, port);
    }

    /// The broker announces its right address.
    pub fn give_right(&self, broker: usize) {
        self.give(broker, "127.0.0.1", self.forwarders[broker - 1].port());
    }
}

impl Drop for Advertising {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for forwarder in &self.forwarders {
            // Wakes the forwarder, so that it sees the flag.
            let _ = TcpStream::connect(forwarder);
        }
    }
}

fn forward(client: TcpStream, own: SocketAddr, given: &Given) {
    let Ok(broker) = TcpStream::connect(own) else { return };
    let (mut from_client, mut to_broker) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_broker);
        let _ = to_broker.shutdown(Shutdown::Write);
    });
    let given = given.clone();
    thread::spawn(move || {
        let _ = answers(&broker, &client, &given);
        let _ = client.shutdown(Shutdown::Both);
    });
}

/// Passes on one answer at a time: four bytes of length, and then that many bytes.
fn answers(mut broker: &TcpStream, mut client: &TcpStream, given: &Given) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        broker.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        broker.read_exact(&mut answer)?;
        replace(&mut answer, &given.lock().unwrap());
        client.write_all(&length)?;
        client.write_all(&answer)?;
    }
}

/// Replaces each address. In every answer with a host, its port follows in four bytes.
fn replace(answer: &mut [u8], given: &[(u16, [u8; 9], u16)]) {
    const ADDRESS: usize = HOST.len() + 4;
    for at in 0..(answer.len() + 1).saturating_sub(ADDRESS) {
        let (host, port) = answer[at..at + ADDRESS].split_at(HOST.len());
        let port = u32::from_be_bytes(port.try_into().unwrap());
        let Some((_, host, port)) = given.iter().find(|(own, _, _)| host == HOST && u32::from(*own) == port) else {
            continue;
        };
        answer[at..at + HOST.len()].copy_from_slice(host);
        answer[at + HOST.len()..at + ADDRESS].copy_from_slice(&u32::from(*port).to_be_bytes());
    }
}
