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
//! | waits for itself after a request in `HTTP/2.0` | hold a thread and two files until the server ends | the limit on open files | `hostile/abuse.rs`: `a_request_in_http_2_costs_one_thread_and_two_files` |
//! | queues pipelined requests without bound | fill the memory, block the loop | [`slow_clients`], the low priority of its threads, the limit on data | `hostile/abuse.rs`: `pipelining_clients_that_never_read_block_nobody` |
//! | reads an unread body where its request is dropped, into as much memory as was announced | block the loop, or exhaust the memory: one `POST` | [`bodies`], the limit on open files | `hostile/abuse.rs`: `bodies_are_ignored_and_the_response_comes_first` |
//! | panics when a connection is reset | fill the log | [`panics`] | `hostile/abuse.rs`: `ten_thousand_resets_harm_nobody` |
//! | panics, or stops accepting, when no file or thread is left | stop it from accepting | [`panics`], the error of [`Guard::receive`] | `hostile/abuse.rs`: `without_open_files_it_answers_or_restarts` |
//! | promises one thread to two connections | make others wait by holding connections | [`self_probe`] | `hostile/abuse.rs`: `a_burst_of_held_connections_is_answered_promptly` |

mod bodies;
mod panics;
mod self_probe;
mod slow_clients;

use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::OnceLock;
use std::time::Duration;

use tiny_http::{Method, Request, Server};

use crate::response::{Response, Serializer};
use crate::thread;
pub use panics::PANICKED;
use self_probe::SelfProbe;
use slow_clients::SlowClients;

/// How many requests are received at a time. The caller reads the labels file once for all of them,
/// which saves a tenth of the processor time beside many clients.
const MAX_BATCH: usize = 32;

/// tiny_http's server, and what protects it.
pub struct Guard {
    server: &'static Server,
    probe: &'static SelfProbe,
    slow_clients: SlowClients,
    serializer: Serializer,
    /// Why no connection can be accepted any more, until the caller knows.
    accept_error: Option<io::Error>,
}

impl Guard {
    /// Starts to accept connections. Fails when the process may not open another file or start another thread.
    pub fn start(listener: &TcpListener, is_supervised: bool) -> io::Result<Guard> {
        panics::install_panic_hook(is_supervised);
        let accepting = listener.try_clone()?;
        // tiny_http's threads get what the others leave of the processors: what they read, and queue without
        // bound, must not outrun the loop that answers it. (This counts within a pod: the kernel shares
        // the processors among groups first.) Threads inherit their niceness (sched(7)).
        static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
        let start = move || {
            let _ = rustix::process::nice(19);
            let server = Server::from_listener(accepting, None);
            let _ = SERVER.set(server.map_err(|error| error.to_string()));
        };
        let _ = thread::start("tiny_http", Box::new(start))?.join();
        let server = SERVER.get().expect("a panic ends the process");
        Ok(Guard {
            server: server.as_ref().map_err(|error| io::Error::other(error.as_str()))?,
            probe: SelfProbe::start(listener)?,
            slow_clients: SlowClients::new(),
            serializer: Serializer::default(),
            accept_error: None,
        })
    }

    /// A function that ends [`Guard::receive`]'s wait.
    pub fn waker(&self) -> impl Fn() + Send + 'static {
        let server = self.server;
        move || server.unblock()
    }

    /// Waits for requests, for this time at most, and returns those that have come by then: none after
    /// the time, or when it was woken.
    /// Fails once, when no connection can be accepted any more.
    pub fn receive(&mut self, timeout: Option<Duration>) -> io::Result<Vec<Request>> {
        if let Some(error) = self.accept_error.take() {
            return Err(error);
        }
        let mut received = match timeout {
            None => self.server.recv().map(Some),
            Some(timeout) => self.server.recv_timeout(timeout),
        };
        let mut batch = Vec::new();
        // Of requests that are not admitted as well: a flood of them must not hold up the others.
        let mut left = MAX_BATCH;
        loop {
            match received {
                Ok(Some(request)) => batch.extend(self.admit(request)),
                // The time is over, it was woken, or tiny_http can accept no more.
                Ok(None) => return Ok(batch),
                Err(error) => {
                    self.accept_error = Some(error).filter(|error| error.raw_os_error().is_some());
                    return Ok(batch);
                }
            }
            left -= 1;
            if left == 0 {
                return Ok(batch);
            }
            received = self.server.try_recv();
        }
    }

    /// The request, unless no handler is to see it.
    fn admit(&mut self, request: Request) -> Option<Request> {
        if self.probe.recognize(&request) {
            self.respond(request, &Response::empty(204));
            return None;
        }
        if self.slow_clients.admit(&request) {
            return Some(request);
        }
        bodies::drop_unanswered(request);
        None
    }

    /// Sends a response, without its body if the request's method is HEAD. Waits for a client that does
    /// not read for no longer than the socket's write timeout; that client is ignored from then on.
    pub fn respond(&mut self, request: Request, response: &Response) {
        let client = request.remote_addr().copied();
        let is_head = *request.method() == Method::Head;
        let sent = if bodies::is_unread(&request) {
            bodies::respond_first(request, response, is_head)
        } else {
            let message = self.serializer.serialize(response, is_head);
            // The bare stream, and one write.
            let mut stream = request.into_writer();
            stream.write_all(message).and_then(|()| stream.flush())
        };
        if let Err(error) = sent {
            self.slow_clients.record_write_error(client, &error);
        }
    }

    /// Whether a client still sends a body: to end the process would reset its connection, and the
    /// response could be lost (RFC 9112, 9.6).
    pub fn is_draining_bodies(&self) -> bool {
        bodies::is_any_draining()
    }
}
