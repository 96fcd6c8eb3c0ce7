//! Measures appinfo beside other servers, in one run and by turns, and prints one table.
//!
//! ```text
//! cargo bench                                        appinfo and, where it is installed, nginx
//! cargo bench -- --quick                             the same in half a minute: a sanity check only
//! cargo bench -- 'NAME=COMMAND with {port}'          and a server that is started by this command
//! cargo bench -- 'NAME/PATH=COMMAND with {port}'     the same, asked for /PATH instead of /
//! cargo bench -- 'NAME=http://127.0.0.1:5678/'       and a server that is running already
//! cargo bench -- 'NAME=http://127.0.0.1:5678/ PID'   the same, with its CPU time and memory
//! ```
//!
//! Several peers may be given; `APPINFO_PEERS` holds more of them, separated by semicolons. They
//! must listen on loopback: no load is ever sent anywhere else. All of it happens in a network
//! namespace of its own, where one can be had and no peer is running already.

#[path = "../../tests/common/mod.rs"]
mod common;
mod machine;
mod nginx;
mod server;
mod table;
mod wrk;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use common::{DownwardApi, Folder};
use server::{Running, Server};
use table::Table;

/// How many clients ask at once, each with a new connection for every request.
const CLIENTS: [usize; 4] = [1, 16, 64, 1000];

/// How many connections are held to see what one of them costs.
const HELD: usize = 1000;

/// How long a server is left alone before its memory counts as at rest.
const REST: Duration = Duration::from_secs(1);

/// How long its processor time at rest is measured.
const LONG_REST: Duration = Duration::from_secs(10);

/// How long after the held connections were closed the memory is read again: the threads that
/// tiny_http no longer needs end after five seconds.
const AFTERWARDS: Duration = Duration::from_secs(8);

/// What the labels file tells, as in a pod of the tutorial.
const LABELS: &str = "app=\"appinfo\"\npod-template-hash=\"6d4cf56db6\"\nrelease=\"stable\"";

const START: &str = "start to first response, ms";
const REST_CPU: &str = "CPU time at rest, ms per second";
const REST_MEMORY: &str = "memory at rest, kB";
const PEAK_MEMORY: &str = "memory at its peak, kB";
const HELD_MEMORY: &str = "memory per held connection, kB";
const GIVEN_BACK: &str = "memory after those have closed, kB";
const SIZE: &str = "program file, kB";

/// How much is measured.
struct Effort {
    /// How often each load is put on each server, by turns.
    rounds: usize,
    /// How long each load lasts.
    seconds: u64,
    /// How often each server is started to see how long that takes.
    starts: usize,
}

const FULL: Effort = Effort { rounds: 5, seconds: 2, starts: 101 };
const QUICK: Effort = Effort { rounds: 1, seconds: 1, starts: 3 };

fn main() -> ExitCode {
    match run() {
        Ok(status) => status,
        Err(sentence) => {
            eprintln!("cargo bench: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let mut effort = FULL;
    let mut peers: Vec<String> = std::env::var("APPINFO_PEERS")
        .map(|list| list.split(';').map(|peer| peer.trim().to_owned()).collect())
        .unwrap_or_default();
    peers.retain(|peer| !peer.is_empty());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--bench" => {} // Cargo's own.
            "--quick" => effort = QUICK,
            peer => peers.push(peer.to_owned()),
        }
    }
    let peers = peers.iter().map(|peer| Server::parse(peer)).collect::<Result<Vec<_>, _>>()?;
    wrk::is_installed()?;
    // What is running already can be reached in this network only.
    if peers.iter().all(Server::can_start)
        && let Some(status) = machine::run_alone()
    {
        return Ok(status);
    }
    machine::raise_open_files_limit()?;

    let volume = DownwardApi::with(LABELS);
    let folder = Folder::new();
    let mut servers = vec![appinfo(&volume)];
    if nginx::is_installed() {
        let answer = servers[0].start()?.answer()?;
        servers.push(nginx::server(folder.path(), &answer));
    } else {
        eprintln!("cargo bench: no nginx beside appinfo, since none is installed");
    }
    servers.extend(peers);

    let mut table = Table::new(servers.iter().map(|server| server.name.clone()).collect());
    for figure in wrk::FIGURES {
        let summary = if figure == wrk::ERRORS { table::sum } else { table::median };
        CLIENTS.iter().for_each(|clients| table.row(load_row(figure, *clients), summary));
    }
    for row in [START, REST_CPU, REST_MEMORY, PEAK_MEMORY, HELD_MEMORY, GIVEN_BACK, SIZE] {
        table.row(row.to_owned(), table::median);
    }

    measure_starts(&servers, &effort, &mut table)?;
    measure_loads(&servers, &effort, &mut table)?;
    measure_held_connections(&servers, &mut table)?;
    progress("");

    println!("{table}");
    println!(
        "Medians of {} alternating runs of {} s each (errors added up), of {} starts; a connection per request, on \
         loopback, the load (wrk, one thread) on the same machine.\nCPU time is the server's own, \
         user and system. Memory is VmRSS, at its peak VmHWM, summed over the server's \
         processes, in units of 1,024 bytes;\n{HELD} connections are held, each with half a request \
         sent, and memory is read again {} s after they have closed.\nAppinfo's image holds its \
         program file and a symlink, nothing else. Appinfo reads live labels; nginx sends the same \
         bytes from memory,\nwith a worker process per core, as Debian sets it up, and no access \
         log.\n\n{}",
        effort.rounds,
        effort.seconds,
        effort.starts,
        AFTERWARDS.as_secs(),
        machine::description()
    );
    Ok(ExitCode::SUCCESS)
}

/// The static release binary as the image holds it, with the labels of a pod.
fn appinfo(volume: &DownwardApi) -> Server {
    let binary = common::release_binary();
    let mut command: Vec<String> =
        ["--variant", "namespace", "--listen", "127.0.0.1:{port}", "--labels"]
            .map(str::to_owned)
            .to_vec();
    command.insert(0, binary.display().to_string());
    command.push(volume.file().display().to_string());
    let pod = [("MY_POD_NAME", "appinfo-6d4cf56db6-x7k2p"), ("MY_POD_NAMESPACE", "default")];
    Server::command("appinfo", "/v1/appinfo", command, &pod)
}

/// The row of one of [`wrk::FIGURES`].
fn load_row(figure: &str, clients: usize) -> String {
    match clients {
        1 => format!("{figure}, 1 client"),
        1000 => format!("{figure}, 1,000 clients"),
        _ => format!("{figure}, {clients} clients"),
    }
}

/// From the start of the process to the end of its first answer, and the size of its program.
fn measure_starts(servers: &[Server], effort: &Effort, table: &mut Table) -> Result<(), String> {
    for start in 1..=effort.starts {
        progress(&format!("start {start} of {}", effort.starts));
        for (column, server) in servers.iter().enumerate().filter(|(_, s)| s.can_start()) {
            let running = server.start()?;
            table.note(START, column, running.started_in.as_secs_f64() * 1e3);
            table.note(SIZE, column, running.program_size()? as f64 / 1024.0);
        }
    }
    Ok(())
}

/// Every load on every server in turn, the order rotated from round to round.
fn measure_loads(servers: &[Server], effort: &Effort, table: &mut Table) -> Result<(), String> {
    for round in 0..effort.rounds {
        let running = servers.iter().map(Server::start).collect::<Result<Vec<Running>, _>>()?;
        for clients in CLIENTS {
            for turn in 0..servers.len() {
                let column = (turn + round) % servers.len();
                progress(&format!(
                    "round {} of {}, {clients} clients, {}",
                    round + 1,
                    effort.rounds,
                    servers[column].name
                ));
                let server = &running[column];
                let before = server.cpu_time()?;
                let report = wrk::run(&server.url, clients, effort.seconds)?;
                let cpu = server.cpu_time()?.zip(before).map(|(after, before)| after - before);
                for (figure, value) in wrk::FIGURES.into_iter().zip(report.figures(cpu)) {
                    if let Some(value) = value {
                        table.note(&load_row(figure, clients), column, value);
                    }
                }
            }
        }
        for (column, server) in running.iter().enumerate() {
            if let Some(peak) = server.memory("VmHWM")? {
                table.note(PEAK_MEMORY, column, peak);
            }
        }
    }
    Ok(())
}

/// Processor time and memory of a server that has answered once, with connections held, and after they have closed.
fn measure_held_connections(servers: &[Server], table: &mut Table) -> Result<(), String> {
    let running = servers.iter().map(Server::start).collect::<Result<Vec<Running>, _>>()?;
    progress("at rest");
    sleep(REST);
    let times = || running.iter().map(Running::threads_time).collect::<Result<Vec<_>, _>>();
    let before = times()?;
    sleep(LONG_REST);
    for (column, (before, after)) in before.into_iter().zip(times()?).enumerate() {
        if let Some(spent) = after.zip(before).map(|(after, before)| after - before) {
            let per_second = spent.as_secs_f64() / LONG_REST.as_secs_f64();
            table.note(REST_CPU, column, per_second * 1e3);
        }
    }
    for (column, server) in running.iter().enumerate() {
        let Some(rest) = server.memory("VmRSS")? else { continue };
        table.note(REST_MEMORY, column, rest);
        progress(&format!("{HELD} held connections, {}", servers[column].name));
        let held = server.hold(HELD)?;
        sleep(REST);
        let full = server.memory("VmRSS")?.unwrap_or(rest);
        table.note(HELD_MEMORY, column, (full - rest) / HELD as f64);
        drop(held);
    }
    progress("memory given back");
    sleep(AFTERWARDS);
    for (column, server) in running.iter().enumerate() {
        if let Some(memory) = server.memory("VmRSS")? {
            table.note(GIVEN_BACK, column, memory);
        }
    }
    Ok(())
}

/// Shows on a terminal what is being measured, in one line that the next one replaces.
fn progress(what: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K{what}");
        let _ = stderr.flush();
    }
}
