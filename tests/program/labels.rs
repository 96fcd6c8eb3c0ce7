//! The pod's labels, as the kubelet writes and swaps them. How they are parsed is tested beside the
//! code.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{
    self, Appinfo, DEADLINE, DownwardApi, Folder, Lines, Start, eventually, until,
};

fn start(labels: impl AsRef<Path>) -> Appinfo {
    Start::new().labels(labels.as_ref()).spawn()
}

fn labels_of(appinfo: &Appinfo) -> Value {
    let response = appinfo.get("/v1/appinfo");
    assert_eq!(response.status, 200, "{response:?}");
    response.json()["Labels"].clone()
}

/// The message of the status 500 that is the response now.
fn error_of(appinfo: &Appinfo) -> String {
    let response = appinfo.get("/v1/appinfo");
    assert_eq!(response.status, 500, "{response:?}");
    response.json()["error"].as_str().expect("a sentence").to_owned()
}

#[test]
fn a_swap_shows_in_the_next_response() {
    let mut volume = DownwardApi::with("app=\"appinfo\"");
    let appinfo = start(volume.file());
    for number in 0..300 {
        volume.swap(format!("app=\"appinfo\"\nnumber=\"{number}\""));
        assert_eq!(labels_of(&appinfo), json!({ "number": number.to_string() }));
        if number == 150 {
            // Until the file's time is so old that a cache could trust it.
            thread::sleep(Duration::from_millis(1500));
        }
    }
}

/// It is made through mapped memory, as an editor may: the file system updates the time later.
#[test]
fn a_change_of_neither_size_nor_time_shows_at_once() {
    if !common::have(&["python3"]) {
        return;
    }
    let folder = Folder::new();
    let file = folder.path().join("labels");
    fs::write(&file, "key=\"a\"").unwrap();
    let appinfo = start(&file);
    assert_eq!(labels_of(&appinfo), json!({ "key": "a" }));
    let script = "import mmap, sys\n\
                  file = open(sys.argv[1], 'r+b')\n\
                  memory = mmap.mmap(file.fileno(), 0)\n\
                  memory[5:6] = b'b'\n\
                  print('changed', flush=True)\n\
                  sys.stdin.read()\n";
    let mut python = Command::new("python3");
    let python = python.args(["-c", script]).arg(&file).stdin(Stdio::piped());
    let mut python = python.stdout(Stdio::piped()).spawn().expect("python starts");
    let output = Lines::of(python.stdout.take().expect("stdout is piped"));
    until("it has changed the file", || !output.all().is_empty());
    assert_eq!(labels_of(&appinfo), json!({ "key": "b" }));
    drop(python.stdin.take());
    python.wait().expect("it ends");
}

#[test]
fn no_response_mixes_two_versions_of_the_volume() {
    let version = |number: u32| {
        let labels: Vec<_> = (0..200).map(|key| format!("k{key}=\"{number}\"")).collect();
        labels.join("\n")
    };
    let mut volume = DownwardApi::with(version(0));
    let appinfo = start(volume.file());
    let (last, start) = (500, Instant::now());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut newest = 0;
                while newest < last {
                    let labels = labels_of(&appinfo);
                    let labels = labels.as_object().expect("labels");
                    let number = &labels["k0"];
                    assert!(labels.values().all(|value| value == number), "{labels:?}");
                    assert_eq!(labels.len(), 200);
                    let number = number.as_str().expect("text").parse().expect("a number");
                    assert!(number >= newest, "{number} came after {newest}");
                    assert!(start.elapsed() < DEADLINE, "{number} is not the last");
                    newest = number;
                }
            });
        }
        for number in 1..=last {
            volume.swap(version(number));
            thread::yield_now();
        }
    });
}

#[test]
fn no_file_is_no_error_and_one_warning_at_the_start() {
    let folder = Folder::new();
    let file = folder.path().join("labels");
    let appinfo = start(&file);
    assert_eq!(labels_of(&appinfo), json!({}));
    let warnings =
        || appinfo.stderr.all().iter().filter(|line| line.contains("no labels file")).count();
    until("the program warns", || warnings() == 1);

    fs::write(&file, "key=\"value\"").unwrap();
    assert_eq!(labels_of(&appinfo), json!({ "key": "value" }));
    fs::remove_file(&file).unwrap();
    assert_eq!(labels_of(&appinfo), json!({}));
    assert_eq!(warnings(), 1);
}

#[test]
fn what_is_no_regular_file_is_an_error_and_never_blocks() {
    let folder = Folder::new();
    let fifo = folder.path().join("fifo");
    common::run(Command::new("mkfifo").arg(&fifo));
    for path in [folder.path(), &fifo, Path::new("/dev/zero")] {
        let appinfo = start(path);
        let error = error_of(&appinfo);
        assert!(error.contains("not a regular file"), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert_eq!(appinfo.get("/healthz").status, 200);
    }
}

/// Its start is logged once, and its end, whether the file is good again or gone.
#[test]
fn a_file_too_large_or_not_utf8_is_an_error() {
    let mut volume = DownwardApi::with("app=\"appinfo\"");
    let appinfo = start(volume.file());
    assert_eq!(appinfo.stderr.all().len(), 1, "a file that is there gets no warning");
    let limit = 1024 * 1024;
    let label = |bytes: usize| format!("big={}", "x".repeat(bytes - "big=".len()));
    volume.swap(label(limit));
    assert_eq!(labels_of(&appinfo)["big"].as_str().unwrap().len(), limit - "big=".len());
    for (content, complaint) in
        [(label(limit + 1).as_bytes(), "larger than 1 MiB"), (b"a=\"\xff\xfe\"", "UTF-8")]
    {
        let before = appinfo.stderr.all().len();
        volume.swap(content);
        for _ in 0..5 {
            let error = error_of(&appinfo);
            assert!(error.contains(complaint), "{error}");
        }
        if complaint == "UTF-8" {
            fs::remove_file(volume.file()).unwrap();
        } else {
            volume.swap("");
        }
        for _ in 0..5 {
            assert_eq!(labels_of(&appinfo), json!({}));
        }
        let lines = eventually("the end of the error is logged", || {
            Some(appinfo.stderr.all().split_off(before)).filter(|lines| lines.len() >= 2)
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains(complaint) && lines[1].contains("again"), "{lines:?}");
    }
}

#[test]
fn a_file_that_may_not_be_read_is_an_error() {
    let folder = Folder::new();
    let file = folder.path().join("labels");
    fs::write(&file, "app=\"appinfo\"").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    // Root may read all, and another user may not look into the folder where the program is.
    let program = folder.path().join("appinfo");
    fs::copy(&common::program()[0], &program).unwrap();
    let mut command = vec![program.to_str().unwrap()];
    if rustix::process::getuid().is_root() {
        if !common::have(&["setpriv"]) {
            return;
        }
        command.splice(..0, ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups"]);
    }
    let start = Start::of(&command).env("PATH", std::env::var_os("PATH").unwrap());
    let error = error_of(&start.labels(&file).spawn());
    assert!(error.contains("Permission denied"), "{error}");
}
