//! The pod's labels, as the kubelet writes and swaps them. How they are parsed is tested beside the
//! code.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

use crate::common::*;

fn start(labels: impl AsRef<Path>) -> Appinfo {
    Start::new().env("APPINFO_LABELS", labels.as_ref()).spawn()
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
    for number in 0..100 {
        volume.swap(format!("app=\"appinfo\"\nnumber=\"{number}\""));
        assert_eq!(labels_of(&appinfo), json!({ "number": number.to_string() }));
    }
}

#[test]
fn a_change_of_neither_size_nor_time_shows_at_once() {
    let folder = Folder::new();
    let path = folder.path().join("labels");
    fs::write(&path, "key=\"a\"").unwrap();
    // So old that a cache could trust it.
    let time = SystemTime::now() - Duration::from_secs(60);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(time).unwrap();
    let appinfo = start(&path);
    assert_eq!(labels_of(&appinfo), json!({ "key": "a" }));
    file.write_all_at(b"b", 5).unwrap();
    file.set_modified(time).unwrap();
    assert_eq!(labels_of(&appinfo), json!({ "key": "b" }));
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
fn an_unusable_file_is_an_error_and_never_blocks() {
    let folder = Folder::new();
    let fifo = folder.path().join("fifo");
    run(Command::new("mkfifo").arg(&fifo));
    for (path, complaint) in [
        (folder.path(), "not a regular file"),
        (&fifo, "not a regular file"),
        (Path::new("/dev/zero"), "not a regular file"),
        (Path::new("/dev/null/labels"), "Not a directory"),
    ] {
        let appinfo = start(path);
        let error = error_of(&appinfo);
        assert!(error.contains(complaint) && error.contains(path.to_str().unwrap()), "{error}");
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
