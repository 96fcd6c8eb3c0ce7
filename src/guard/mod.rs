//! Makes up for what tiny_http 0.12 lacks against hostile clients. Requests come out of the guard
//! ready to be handled, responses go through it, and no other module knows why. All of it can be
//! deleted on the day the library goes.
//!
//! What the table calls a limit is the kernel's, on the server process: the supervisor restarts a server
//! that exceeds one.
//!
//! | what the library does | what a client could do with it | remedy | test in `tests/` |
//! |---|---|---|---|
//! | keeps a request's head in memory, however long | exhaust the memory: one endless line | the limit on data | `hostile/memory.rs`: `attacks_leave_the_pod_alive_and_bystanders_served` |
//! | deadlocks the thread of a connection on its own response to `HTTP/2.0` | hold a thread and two files until the server ends | the limit on open files | `hostile/abuse.rs`: `a_request_in_http_2_costs_one_thread_and_two_files` |
//! | queues pipelined requests without bound | fill the memory, block the loop | [`slow_clients`], the limit on data | `hostile/abuse.rs`: `pipelining_clients_that_never_read_block_nobody` |
//! | reads an unread body where its request is dropped, into as much memory as was announced | block the loop, or exhaust the memory: one `POST` | [`bodies`], the limit on open files | `hostile/abuse.rs`: `bodies_are_ignored_and_the_response_comes_first` |
//! | panics when a connection is reset | fill the log | [`panics`] | `hostile/abuse.rs`: `ten_thousand_resets_harm_nobody` |
//! | panics, or stops accepting, when no file or thread is left | stop it from accepting | [`panics`], the error of [`Guard::receive`] | `hostile/abuse.rs`: `without_open_files_it_answers_or_restarts` |
//! | may assign two connections to one idle thread | make others wait by holding connections | [`self_probe`] | `hostile/abuse.rs`: `a_burst_of_held_connections_is_answered_promptly` |

mod bodies;
mod connection;
mod panics;
mod self_probe;
mod slow_clients;

use std::io::{self, ErrorKind, Write};
use std::iter;
use std::net::TcpListener;
use std::thread::Builder;
use std::time::Duration;

use tiny_http::{Method, Request, Server};

use crate::response::Response;
use crate::threads;
pub use bodies::is_draining_bodies;
use connection::{Connection, client};
pub use panics::CRASHED;
use self_probe::SelfProbe;
use slow_clients::{MAX_IN_A_ROW, Rows};

/// How many requests are received at a time, at most: those that are not admitted must not keep the others
/// waiting. With many at a time, a client's 17th request is seen before its first 16 are answered.
const MAX_BATCH: usize = 1_024;

/// tiny_http's server, and what protects it.
pub struct Guard {
    server: &'static Server,
    probe: &'static SelfProbe,
    rows: Rows,
    /// The error that has ended tiny_http's accepting: the next [`Guard::receive`] returns it.
    accept_error: Option<io::Error>,
}

impl Guard {
    /// Starts to accept connections. Fails when the process may not open another file or start another thread.
    pub fn start(listener: &TcpListener, is_supervised: bool) -> io::Result<Guard> {
        panics::install_panic_hook(is_supervised);
        let listening = listener.try_clone()?;
        // In a thread of its own: a priority cannot be raised again.
        let start = move || {
            threads::lower_priority();
            Server::from_listener(listening, None)
        };
        let server = Builder::new().spawn(start)?.join().expect("a panic ends the process");
        Ok(Guard {
            server: Box::leak(Box::new(server.map_err(io::Error::other)?)),
            probe: SelfProbe::start(listener)?,
            rows: Rows::new(),
            accept_error: None,
        })
    }

    /// A function that ends [`Guard::receive`]'s wait.
    pub fn waker(&self) -> impl Fn() + Send + 'static {
        let server = self.server;
        move || server.unblock()
    }

    /// Waits for requests, for this time at most or until it is woken, and returns those that have come by
    /// then.
    /// Fails once, when no connection can be accepted any more.
    pub fn receive(&mut self, timeout: Duration) -> io::Result<Vec<Request>> {
        if let Some(error) = self.accept_error.take() {
            return Err(error);
        }
        let server = self.server;
        let first = server.recv_timeout(timeout).transpose();
        let more = iter::from_fn(|| server.try_recv().transpose());
        let mut admitted = Vec::new();
        for received in first.into_iter().chain(more).take(MAX_BATCH) {
            match received {
                Ok(request) => admitted.extend(self.admit(request)),
                Err(error) => self.accept_error = Some(error),
            }
        }
        Ok(admitted)
    }

    /// The request, unless no handler is to see it.
    fn admit(&mut self, request: Request) -> Option<Request> {
        if self.probe.recognize(&request) {
            self.respond(request, &Response::empty(204));
            return None;
        }
        let in_a_row = self.rows.record(&request);
        if in_a_row <= MAX_IN_A_ROW {
            return Some(request);
        }
        if in_a_row == MAX_IN_A_ROW + 1 {
            Connection::of(client(&request)).inspect(Connection::shut_down);
        }
        if bodies::is_unread(&request) {
            bodies::respond_first(request, Vec::new());
        } else {
            drop(request.into_writer());
        }
        None
    }

    /// Sends a response, without its body if the request's method is HEAD. Waits for a client that does
    /// not read for no longer than the socket's write timeout, and shuts its connection down.
    pub fn respond(&mut self, request: Request, response: &Response) {
        let client = client(&request);
        let message = response.message(*request.method() == Method::Head);
        if bodies::is_unread(&request) {
            return bodies::respond_first(request, message);
        }
        // Not by tiny_http's `respond`, which cannot say `Connection: close`; in one write, so in few packets.
        let mut stream = request.into_writer();
        let sent = stream.write_all(&message).and_then(|()| stream.flush());
        if sent.is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            Connection::of(client).inspect(Connection::shut_down);
        }
    }
}
