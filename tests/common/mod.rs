//! What the tests share: `use crate::common::*` also brings what nearly all of them take from std.
#![allow(
    dead_code,
    unused_imports,
    reason = "every test binary, and the demo, uses its own part of this"
)]

mod client;
mod engines;
mod labels;
mod pod;
mod process;
mod server;
mod service;
mod tools;
mod waiting;

pub use std::collections::{BTreeMap, BTreeSet};
pub use std::io::{self, BufRead, BufReader, Read, Write};
pub use std::net::{SocketAddr, TcpListener, TcpStream};
pub use std::path::{Path, PathBuf};
pub use std::process::{Child, Command, Stdio};
pub use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
pub use std::time::{Duration, Instant};
pub use std::{fs, thread};

pub use regex_lite::Regex;
pub use serde_json::{Value, json};

pub use self::client::*;
pub use self::engines::*;
pub use self::labels::*;
pub use self::pod::*;
pub use self::process::*;
pub use self::server::*;
pub use self::service::*;
pub use self::tools::*;
pub use self::waiting::*;
