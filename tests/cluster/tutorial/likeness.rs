//! Whether a command printed what the tutorial shows: the same except for names that Kubernetes
//! makes up, addresses, ages and figures; shares within what chance allows.

use crate::common::*;

/// What differs between clusters and between runs, and its placeholder.
const VARIES: &[(&str, &str)] = &[
    (r"appinfo(-canary-[a-z]+)?-[a-z0-9]{6,10}-[a-z0-9]{5}\b", "appinfo$1-POD"),
    (r#""pod-template-hash":"[a-z0-9]+""#, r#""pod-template-hash":"HASH""#),
    (r#","topology\.kubernetes\.io/(region|zone)":"[^"]*""#, ""),
    (r"\b\d+\.\d+\.\d+\.\d+(:80\d\d)?\b", "ADDRESS$1"),
    (r"8080:\d{5}/TCP", "8080:PORT/TCP"),
    // The last column of a table: an age.
    (r"\s([0-9]+[dhms])+$", " AGE"),
    // kubectl says this since 1.34.
    (r" from \S+ namespace$", ""),
    // Prometheus' time; a share's first decimal; any other figure except 0 and 1.
    (r" @\[[0-9.]+\]$", ""),
    (r"(:ratio_.*)=> (0\.\d)\d*$", "$1=> SHARE $2"),
    (r"=> ([0-9]+[.e][-+.e0-9]*|[2-9]|[0-9]{2,})$", "=> FIGURE"),
    (r"\s+", " "),
];

/// Compares. An error says what was expected and what came.
pub fn compare(shown: &str, printed: &str) -> Result<(), String> {
    let plain = |text: &str| text.trim_end().lines().map(plain_line).collect::<Vec<_>>();
    let alike = match (counts(shown), counts(printed)) {
        (Some(shown), Some(printed)) => same_shares(&shown, &printed),
        _ => same_lines(plain(shown), plain(printed)),
    };
    let wrong = || format!("the tutorial shows\n{shown}\nbut it printed\n{printed}");
    alike.then_some(()).ok_or_else(wrong)
}

/// The line, with placeholders for what varies.
fn plain_line(line: &str) -> String {
    let line = VARIES.iter().fold(line.to_owned(), |line, (pattern, stands_for)| {
        let pattern = Regex::new(pattern).expect("the pattern is right");
        pattern.replace_all(&line, *stands_for).into_owned()
    });
    line.trim().to_owned()
}

/// In any order; with three dots, which stand for any lines, in the order shown.
fn same_lines(mut shown: Vec<String>, mut printed: Vec<String>) -> bool {
    if shown.iter().any(|line| line == "...") {
        let shown = regex_lite::escape(&(shown.join("\n") + "\n"));
        let pattern = format!("^{}$", shown.replace("\\.\\.\\.\n", "(?:.*\n)*"));
        let pattern = Regex::new(&pattern).expect("the pattern is right");
        return pattern.is_match(&(printed.join("\n") + "\n"));
    }
    shown.sort();
    printed.sort();
    shown == printed
}

/// What `uniq -c` prints: how often each line came, sorted by line. `None` if it is something else.
fn counts(text: &str) -> Option<Vec<(String, u32)>> {
    let count = |line: &str| {
        let (count, what) = line.trim_start().split_once(' ')?;
        Some((plain_line(what), count.parse().ok()?))
    };
    let mut counts: Vec<_> = text.trim_end().lines().map(count).collect::<Option<_>>()?;
    counts.sort();
    (!counts.is_empty()).then_some(counts)
}

/// The same lines, the same total, and each count within five standard deviations of the one shown,
/// as chance allows: it exceeds that once in a million runs.
fn same_shares(shown: &[(String, u32)], printed: &[(String, u32)]) -> bool {
    let total = |counts: &[(String, u32)]| counts.iter().map(|(_, count)| count).sum::<u32>();
    let all = f64::from(total(shown));
    shown.len() == printed.len()
        && total(shown) == total(printed)
        && shown.iter().zip(printed).all(|((what, expected), (other, count))| {
            let share = f64::from(*expected) / all;
            let deviation = (all * share * (1.0 - share)).sqrt();
            what == other && (f64::from(*count) - f64::from(*expected)).abs() <= 5.0 * deviation
        })
}

/// What may differ on a simulated cluster, differs in its play.
#[test]
fn only_names_ages_addresses_and_figures_may_differ() {
    for (shown, printed, alike) in [
        ("appinfo-567b989978-vvzlg   0   4s\n", "appinfo-567b989978-vvzlg   1   4s\n", false),
        (r#"{"Namespace":""}"#, r#"{"Namespace":"default"}"#, false),
        ("x => 1 @[12.5]", "x => 0 @[12.5]", false),
        ("x:ratio_y{} => 0.081 @[12.5]", "x:ratio_y{} => 0.077 @[13]", true),
        ("x:ratio_y{} => 0.081 @[12.5]", "x:ratio_y{} => 0.41 @[13]", false),
        ("x:ratio_y{} => 0.081 @[12.5]", "x:ratio_y{} => 0 @[13]", false),
        // Three dots stand for any lines.
        ("...\nb\n", "b", true),
        ("a\n...\n", "b\na\n", false),
        // Counts may differ by chance alone.
        ("  300 200\n  100 500\n", "    200 200\n    200 500\n", false),
        ("  300 200\n  100 500\n", "    300 200\n    99 500\n", false),
        ("  300 200\n  100 500\n", "    400 200\n", false),
        ("    400 200\n", "    399 200\n      1 500\n", false),
    ] {
        assert_eq!(compare(shown, printed).is_ok(), alike, "{shown:?} against {printed:?}");
    }
}
