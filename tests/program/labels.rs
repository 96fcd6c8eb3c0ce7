//! The pod's labels, as the kubelet writes and swaps them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{
    self, Appinfo, DEADLINE, DownwardApi, Folder, Lines, Start, eventually, until,
};
use serde_json::json;

fn start(labels: &Path) -> Appinfo {
    Start::new().labels(labels).spawn()
}

fn labels_of(appinfo: &Appinfo) -> serde_json::Value {
    let answer = appinfo.get("/v1/appinfo");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["Labels"].clone()
}

/// The sentence of an answer that cannot be given, its status being 500.
fn error_of(appinfo: &Appinfo) -> String {
    let answer = appinfo.get("/v1/appinfo");
    assert_eq!(answer.status, 500, "{answer:?}");
    answer.json()["error"].as_str().expect("a sentence").to_owned()
}

#[test]
fn a_swap_shows_in_the_very_next_answer_also_after_the_file_was_long_at_rest() {
    let mut volume = DownwardApi::with("app=\"appinfo\"");
    let appinfo = start(&volume.file());
    for number in 0..300 {
        volume.swap(format!("app=\"appinfo\"\nnumber=\"{number}\""));
        assert_eq!(labels_of(&appinfo), json!({ "number": number.to_string() }));
        if number == 150 {
            // Long enough for a program that trusts a file's time to have seen the last of it.
            std::thread::sleep(Duration::from_millis(1500));
        }
    }
}

#[test]
fn a_change_that_leaves_no_trace_in_size_and_time_shows_in_the_next_answer() {
    let folder = Folder::new();
    let file = folder.path().join("labels");
    std::fs::write(&file, "key=\"a\"").unwrap();
    let appinfo = start(&file);
    assert_eq!(labels_of(&appinfo), json!({ "key": "a" }));
    // Through memory, as an editor may: the file system writes no time down until later.
    let script = "import mmap, sys\n\
                  file = open(sys.argv[1], 'r+b')\n\
                  memory = mmap.mmap(file.fileno(), 0)\n\
                  memory[5:6] = b'b'\n\
                  print('changed', flush=True)\n\
                  sys.stdin.read()\n";
    if !common::have(&["python3"]) {
        return;
    }
    let mut python = Command::new("python3")
        .args(["-c", script])
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let said = Lines::of(python.stdout.take().expect("stdout is piped"));
    until("it has changed the file", || !said.all().is_empty());
    assert_eq!(labels_of(&appinfo), json!({ "key": "b" }));
    drop(python.stdin.take());
    python.wait().expect("it ends");
}

#[test]
fn no_answer_mixes_two_versions_while_clients_read_and_the_volume_is_swapped() {
    let version = |number: u32| {
        let labels: Vec<_> = (0..200).map(|key| format!("k{key}=\"{number}\"")).collect();
        labels.join("\n")
    };
    let mut volume = DownwardApi::with(version(0));
    let appinfo = start(&volume.file());
    let (last, start) = (500, Instant::now());
    std::thread::scope(|scope| {
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
            std::thread::yield_now();
        }
    });
}

#[test]
fn values_are_unquoted_as_go_quotes_them_and_else_taken_as_they_stand() {
    let quoted = [
        (r#""""#, ""),
        (r#""stable""#, "stable"),
        (r#""a=b==c""#, "a=b==c"),
        (r#""say \"hi\" \\ twice""#, r#"say "hi" \ twice"#),
        (r#""\a\b\f\n\r\t\v""#, "\x07\x08\x0c\n\r\t\x0b"),
        (r#""\x00\x7f""#, "\0\x7f"),
        (r#""h\u00e9llo \u00a0\u2028\ufeff""#, "héllo \u{a0}\u{2028}\u{feff}"),
        (r#""\U0001f600 \U000e0001""#, "😀 \u{e0001}"),
        (r#""grün 🐦""#, "grün 🐦"),
        (r#""\xff\xc3\xbc""#, "\u{fffd}ü"),
    ];
    let as_they_stand = r#"plain as it stands|'single'|"|"open|open"|"a"b"|"\"|"\q"|"\x4"|"\x4g"|"\u123"|"\ud800"|"\U00110000"|"\U4141""#;
    let as_they_stand = as_they_stand.split('|').map(|value| (value, value));
    let cases: Vec<_> = quoted.into_iter().chain(as_they_stand).collect();
    let lines = cases.iter().enumerate().map(|(number, (line, _))| format!("{number}={line}\n"));
    let volume = DownwardApi::with(lines.collect::<String>());
    let labels = labels_of(&start(&volume.file()));
    for (number, (line, value)) in cases.iter().enumerate() {
        assert_eq!(labels[number.to_string()], *value, "{line}");
    }
    assert_eq!(labels.as_object().expect("labels").len(), cases.len());
}

#[test]
fn no_file_is_no_error_but_gets_one_warning_at_the_start() {
    let folder = Folder::new();
    let file = folder.path().join("labels");
    let appinfo = start(&file);
    for _ in 0..3 {
        assert_eq!(labels_of(&appinfo), json!({}));
    }
    let warnings =
        || appinfo.stderr.all().iter().filter(|line| line.contains("no labels file")).count();
    until("the program warns", || warnings() == 1);

    std::fs::write(&file, "late=\"yes\"").unwrap();
    assert_eq!(labels_of(&appinfo), json!({ "late": "yes" }));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(labels_of(&appinfo), json!({}));
    assert_eq!(warnings(), 1);
}

#[test]
fn what_is_no_regular_file_is_an_error_and_never_blocks() {
    let folder = Folder::new();
    let fifo = folder.path().join("fifo");
    common::run(Command::new("mkfifo").arg(&fifo));
    for path in [folder.path(), &fifo, Path::new("/dev/zero"), Path::new("/dev/null")] {
        let appinfo = start(path);
        let error = error_of(&appinfo);
        assert!(error.contains("not a regular file"), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert_eq!(appinfo.get("/healthz").status, 200);
    }
}

#[test]
fn what_is_not_utf8_or_larger_than_a_mebibyte_is_an_error_and_one_log_line_each_way() {
    let mut volume = DownwardApi::with("app=\"appinfo\"");
    let appinfo = start(&volume.file());
    assert_eq!(labels_of(&appinfo), json!({}));
    assert_eq!(appinfo.stderr.all().len(), 1, "a file that is there gets no warning");
    let most = 1024 * 1024;
    volume.swap(format!("big={}", "x".repeat(most - "big=".len())));
    assert_eq!(labels_of(&appinfo)["big"].as_str().unwrap().len(), most - "big=".len());
    let large = vec![b'x'; most + 1];
    for (content, complaint) in
        [(&b"a=\"\xff\xfe\""[..], "UTF-8"), (&large[..], "larger than 1 MiB")]
    {
        let before = appinfo.stderr.all().len();
        volume.swap(content);
        for _ in 0..5 {
            let error = error_of(&appinfo);
            assert!(error.contains(complaint), "{error}");
        }
        volume.swap("fine=\"again\"");
        for _ in 0..5 {
            assert_eq!(labels_of(&appinfo), json!({ "fine": "again" }));
        }
        let lines = eventually("the end of the trouble is logged", || {
            let lines = appinfo.stderr.all();
            (lines.len() >= before + 2).then(|| lines[before..].to_vec())
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains(complaint) && lines[1].contains("again"), "{lines:?}");
    }
    // The trouble is over as well when the file has gone.
    let before = appinfo.stderr.all().len();
    volume.swap(b"\xff");
    error_of(&appinfo);
    std::fs::remove_file(volume.file()).unwrap();
    assert_eq!(labels_of(&appinfo), json!({}));
    until("that is logged", || appinfo.stderr.all().len() == before + 2);
}

#[test]
fn a_file_that_may_not_be_read_is_an_error() {
    let folder = Folder::new();
    let file = folder.path().join("labels");
    std::fs::write(&file, "app=\"appinfo\"").unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    // Root may read all, and another user may not look into the folder where the program is.
    let program = folder.path().join("appinfo");
    std::fs::copy(&common::program()[0], &program).unwrap();
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
