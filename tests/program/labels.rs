//! The pod's labels, as the kubelet writes and swaps them. How they are parsed is tested beside the
//! code.

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
fn a_change_of_neither_size_nor_time_shows_at_once() {
    let folder = Folder::new();
    let path = folder.path().join("labels");
    fs::write(&path, "key=\"a\"").unwrap();
    // So old that a cache could trust it.
    let time = SystemTime::now() - Duration::from_secs(60);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(time).unwrap();
    let appinfo = start(&path);
    assert_eq!(labels_of(&appinfo), json!({ "key": "a" }));
    file.write_all_at(b"b", 5).unwrap();
    file.set_modified(time).unwrap();
    assert_eq!(labels_of(&appinfo), json!({ "key": "b" }));
}

/// And no response mixes two versions of the volume, lacks it, or is older than the one before.
#[test]
fn a_swap_shows_in_the_next_response() {
    let version = |number: u32| format!("release=\"{number}\"\nother=\"{number}\"");
    let mut volume = DownwardApi::with(version(0));
    let appinfo = start(volume.file());
    let number_now = || {
        let response = appinfo.get("/v1/appinfo");
        let number = response.header("appinfo-release").expect("a release");
        assert_eq!(response.json()["Labels"], json!({ "other": number }));
        number.parse::<u32>().expect("a number")
    };
    thread::scope(|scope| {
        let read = || assert!((0..1_000).map(|_| number_now()).is_sorted());
        let readers = [(); 3].map(|()| scope.spawn(read));
        for number in (1..).take_while(|_| !readers.iter().all(|reader| reader.is_finished())) {
            volume.swap(version(number));
            assert_eq!(number_now(), number);
        }
    });
}

/// As when a swap removes the version that a path was just resolved into. (Here strace does it.)
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_is_gone_for_a_moment_is_looked_up_again() {
    needs!("strace");
    let volume = DownwardApi::with("key=\"value\"");
    let path = volume.file();
    let refusal = "--inject=statx,openat:error=ENOENT:when=1+2 --trace-path=";
    let options = format!("-D --follow-forks --output=/dev/null {refusal}{}", path.display());
    let strace = Start::of(&["strace"]).args(&options).arg(&program()[0]);
    let appinfo = strace.env("APPINFO_LABELS", path).spawn();
    for _ in 0..10 {
        assert_eq!(labels_of(&appinfo), json!({ "key": "value" }));
    }
}

/// What is unknown is an empty string.
#[test]
fn no_file_is_no_error_and_one_warning_at_the_start() {
    let folder = Folder::new();
    let file = folder.path().join("labels");
    let appinfo = start(&file);
    let unknown =
        json!({"PodName": "", "AppName": "", "Namespace": "", "Release": "", "Labels": {}});
    assert_eq!(appinfo.get("/v1/appinfo").json(), unknown);
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
        (&*fifo, "not a regular file"),
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
    let limit = 1024 * 1024;
    let label = |bytes: usize| format!("big={}", "x".repeat(bytes - "big=".len()));
    volume.swap(label(limit));
    assert_eq!(labels_of(&appinfo)["big"].as_str().unwrap().len(), limit - "big=".len());
    for (content, complaint, is_gone) in [
        (label(limit + 1).as_bytes(), "larger than 1 MiB", false),
        (b"a=\"\xff\xfe\"", "UTF-8", true),
    ] {
        volume.swap(content);
        assert!((0..5).all(|_| error_of(&appinfo).contains(complaint)), "{complaint}");
        volume.swap("");
        if is_gone {
            fs::remove_file(volume.file()).unwrap();
        }
        assert!((0..5).all(|_| labels_of(&appinfo) == json!({})), "after {complaint}");
    }
    let log =
        eventually("it is logged", || Some(appinfo.stderr.all()).filter(|log| log.len() >= 5));
    let expected = ["listening on", "larger than 1 MiB", "again", "UTF-8", "again"];
    assert!(log.iter().zip(expected).all(|(line, part)| line.contains(part)), "{log:?}");
    assert_eq!(log.len(), 5, "{log:?}");
}
