//! As much of the shell's grammar as README.md uses: enough to see which programs a block calls,
//! with which words.

/// The simple commands of a block, each as its words: those of pipes, loops and `$(...)` too.
/// Assignments, keywords and redirections are left out.
pub fn simple_commands(block: &str) -> Vec<Vec<String>> {
    let mut commands = vec![vec![]];
    let mut word = None;
    let mut characters = block.chars();
    while let Some(character) = characters.next() {
        let text = word.get_or_insert_with(String::new);
        match character {
            '\'' | '"' => text.extend(characters.by_ref().take_while(|next| *next != character)),
            '\\' => drop(characters.next()),
            ' ' | '\n' | '|' | ';' | '&' | '(' | ')' => {
                let ended = word.take().filter(|word| !word.is_empty());
                commands.last_mut().expect("there is always a last one").extend(ended);
                if character != ' ' {
                    commands.push(vec![]);
                }
            }
            other => text.push(other),
        }
    }
    for words in &mut commands {
        let keywords = words.iter().take_while(|word| ["do", "while"].contains(&word.as_str()));
        words.drain(..keywords.count());
        if words.first().is_some_and(|word| word.contains('=') || word == "for" || word == "done") {
            words.clear();
        }
    }
    commands.retain(|words| !words.is_empty());
    commands
}

#[cfg(test)]
mod tests {
    use super::simple_commands;

    #[test]
    fn sees_through_loops_pipes_and_substitutions() {
        let block = "A=$(get a -o 'x y') \nfor i in $(seq 3); do curl -s \"$A/x\" | grep 'a b'; done | sort\n";
        let commands: Vec<_> = simple_commands(block).iter().map(|words| words.join("~")).collect();
        assert_eq!(commands, ["get~a~-o~x y", "seq~3", "curl~-s~$A/x", "grep~a b", "sort"]);
    }
}
