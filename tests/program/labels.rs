//! The pod's labels, as the kubelet writes and swaps them.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::{self, Appinfo, DownwardApi, Folder, Start, eventually};
use serde_json::json;

fn start(labels: &Path) -> Appinfo {
    Start::new().arg("--labels").arg(labels).spawn()
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
fn a_swap_shows_in_the_very_next_answer() {
    let mut volume = DownwardApi::with("app=\"appinfo\"");
    let appinfo = start(&volume.file());
    for number in 0..300 {
        volume.swap(format!("app=\"appinfo\"\nnumber=\"{number}\""));
        assert_eq!(labels_of(&appinfo), json!({ "number": number.to_string() }));
    }
}

#[test]
fn a_swap_shows_in_the_very_next_answer_after_the_file_was_long_at_rest() {
    // Long enough that the program trusts what it has seen and does not read the file again.
    let mut volume = DownwardApi::with("number=\"-1\"");
    let appinfo = start(&volume.file());
    for number in 0..3 {
        std::thread::sleep(Duration::from_millis(1500));
        for _ in 0..3 {
            assert_eq!(labels_of(&appinfo), json!({ "number": (number - 1).to_string() }));
        }
        volume.swap(format!("number=\"{number}\""));
        assert_eq!(labels_of(&appinfo), json!({ "number": number.to_string() }));
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
                  with open(sys.argv[1], 'r+b') as file:\n  \
                    memory = mmap.mmap(file.fileno(), 0)\n  \
                    memory[5:6] = b'b'\n  \
                    print('changed', flush=True)\n  \
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
    let mut said = [0; 7];
    python.stdout.take().unwrap().read_exact(&mut said).expect("it has changed the file");
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
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = 0;
                    let mut newest = 0;
                    while !over.load(Ordering::Relaxed) || answers < 100 {
                        let labels = labels_of(&appinfo);
                        let labels = labels.as_object().expect("labels");
                        assert_eq!(labels.len(), 200);
                        let number = &labels["k0"];
                        assert!(labels.values().all(|value| value == number), "{labels:?}");
                        let number = number.as_str().unwrap().parse().unwrap();
                        assert!(number >= newest, "{number} came after {newest}");
                        newest = number;
                        answers += 1;
                    }
                    labels_of(&appinfo)["k0"].as_str().unwrap().to_owned()
                })
            })
            .collect();
        for number in 1..=500 {
            volume.swap(version(number));
            std::thread::yield_now();
        }
        over.store(true, Ordering::Relaxed);
        for reader in readers {
            assert_eq!(reader.join().expect("no reader failed"), "500");
        }
    });
}

#[test]
fn values_are_unquoted_as_go_quotes_them() {
    let lines = [
        r#"plain="value""#,
        r#"empty="""#,
        r#"quotes="say \"hi\" \\ twice""#,
        r#"controls="\a\b\f\n\r\t\v\x00\x7f""#,
        r#"unicode="h\u00e9llo \U0001f600 ünïcode""#,
        r#"bytes="\xc3\xa9 \xff""#,
        r#"equals="a=b==c""#,
        "unquoted=as it stands",
        r#"open="no end"#,
        r#"odd="\q""#,
        "a line without the sign",
        "",
        r#"last="no newline at the end""#,
    ];
    let volume = DownwardApi::with(lines.join("\n"));
    assert_eq!(
        labels_of(&start(&volume.file())),
        json!({
            "plain": "value",
            "empty": "",
            "quotes": "say \"hi\" \\ twice",
            "controls": "\u{7}\u{8}\u{c}\n\r\t\u{b}\u{0}\u{7f}",
            "unicode": "héllo 😀 ünïcode",
            "bytes": "é \u{fffd}",
            "equals": "a=b==c",
            "unquoted": "as it stands",
            "open": "\"no end",
            "odd": "\"\\q\"",
            "last": "no newline at the end",
        })
    );
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
    eventually("the program warns", || (warnings() == 1).then_some(()));

    std::fs::write(&file, "late=\"yes\"").unwrap();
    assert_eq!(labels_of(&appinfo), json!({ "late": "yes" }));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(labels_of(&appinfo), json!({}));
    assert_eq!(warnings(), 1);
}

#[test]
fn a_file_that_is_there_gets_no_warning() {
    let volume = DownwardApi::with("");
    let appinfo = start(&volume.file());
    assert_eq!(labels_of(&appinfo), json!({}));
    assert_eq!(appinfo.stderr.all().len(), 1, "{:?}", appinfo.stderr.all());
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
fn what_is_not_utf8_or_too_large_is_an_error_and_one_log_line_each_way() {
    let mut volume = DownwardApi::with("app=\"appinfo\"");
    let appinfo = start(&volume.file());
    let large = vec![b'x'; 1024 * 1024 + 1];
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
}

#[test]
fn a_file_that_cannot_be_used_and_then_goes_is_said_to_have_gone() {
    let folder = Folder::new();
    let file = folder.path().join("labels");
    std::fs::write(&file, b"\xff").unwrap();
    let appinfo = start(&file);
    error_of(&appinfo);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(labels_of(&appinfo), json!({}));
    eventually("the end of the trouble is logged", || {
        appinfo.stderr.all().iter().any(|line| line.contains("or do without it")).then_some(())
    });
}

#[test]
fn a_file_of_just_one_mebibyte_is_read() {
    let key = "big=\"";
    let content = format!("{key}{}\"", "x".repeat(1024 * 1024 - key.len() - 1));
    let volume = DownwardApi::with(&content);
    let labels = labels_of(&start(&volume.file()));
    assert_eq!(labels["big"].as_str().unwrap().len(), 1024 * 1024 - key.len() - 1);
}

#[test]
fn a_file_that_may_not_be_read_is_an_error() {
    if !common::have(&["setpriv"]) {
        return;
    }
    let folder = Folder::new();
    let file = folder.path().join("labels");
    std::fs::write(&file, "app=\"appinfo\"").unwrap();
    common::run(Command::new("chmod").arg("000").arg(&file));
    common::run(Command::new("chmod").arg("755").arg(folder.path()));
    let mut command = vec!["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups"];
    let program = folder.path().join("appinfo");
    std::fs::copy(&common::program()[0], &program).unwrap();
    command.push(program.to_str().unwrap());
    if !is_root() {
        command = vec![command.pop().unwrap()];
    }
    let appinfo = Start::of(&command)
        .env("PATH", std::env::var_os("PATH").unwrap())
        .arg("--labels")
        .arg(&file)
        .spawn();
    let error = error_of(&appinfo);
    assert!(error.contains("Permission denied"), "{error}");
}

fn is_root() -> bool {
    common::run(Command::new("id").arg("-u")).trim() == "0"
}
