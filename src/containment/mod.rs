//! What is here only because of tiny_http 0.12, which trusts its clients. All of it goes on the day the
//! library goes.
//!
//! | what the library does | what a client could do with it | the cure | the test in `tests/` |
//! |---|---|---|---|
//! | keeps a request's head in memory, however long | kill the pod: one endless line | [`footprint`], [`renewal`] | `hostile/memory.rs`: `no_client_takes_a_pod_down_and_hardly_anybody_notices_the_attack` |
//! | waits for itself after a request in `HTTP/2.0` | take a thread and two files for good | [`footprint`], [`renewal`] | `hostile/abuse.rs`: `a_request_in_a_version_above_1_1_costs_a_thread_and_two_files_and_no_more` |
//! | queues what is asked on a connection without end | fill the memory, hold up the one loop | [`stalled`], [`scheduling`], [`footprint`] | `hostile/abuse.rs`: `clients_that_pipeline_and_never_read_hold_nobody_up` |
//! | reads an announced body where its request is dropped, into as much memory as was announced | stop everybody, or kill the pod: one `POST` | [`bodies`] | `hostile/abuse.rs`: `whoever_sends_a_body_hears_first_and_at_once_that_none_is_wanted` |
//! | panics when a connection is reset | fill the log | [`panics`] | `hostile/abuse.rs`: `ten_thousand_resets_harm_nobody_and_leave_a_line_in_the_log` |
//! | panics, or stops accepting without a word, when no file or thread is left | make it deaf | [`panics`], [`heartbeat`], [`renewal`] | `hostile/abuse.rs`: `out_of_open_files_it_answers_or_ends_but_is_never_deaf` |
//! | promises one thread to two connections | keep others waiting by holding connections | [`heartbeat`] | `hostile/abuse.rs`: `all_of_a_burst_of_connections_that_are_held_open_are_answered_promptly` |
//! | wakes a thread while it holds the lock that this one needs | nothing, but everybody pays for it | [`scheduling`] | `program/scheduling.rs`: `no_thread_takes_the_processor_from_its_waker_and_those_that_read_stand_back` |

pub mod bodies;
pub mod footprint;
pub mod heartbeat;
pub mod panics;
pub mod renewal;
pub mod scheduling;
pub mod stalled;
