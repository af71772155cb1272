//! Examples, as `--help` of each command shows them. A test parses every one, and fails if a command has none.

use std::fmt::Write as _;

use clap::Command;

/// One a line, with what it is for behind the `#`.
const EXAMPLES: &str = r##"
portcullis identity new --name "Ada" --organization "Example Lab"    # asks for a passphrase
portcullis identity new --name "Registry" --no-passphrase            # for a machine
portcullis identity show                                             # your name and your key id
portcullis identity show ben.card                                    # somebody else's, to compare by telephone
portcullis identity card --to ada.card                               # the public half, to hand out
portcullis identity import identity.age                              # an identity from another machine
portcullis identity passphrase                                       # another passphrase
portcullis join portcullis-invite1q9gtx…                             # an invitation from a member
portcullis join https://registry.example --root 1.root.json          # the root's file from an owner
portcullis doctor                                                    # is all as it should be?
portcullis doctor --json
portcullis demo                                                      # the main job, in a minute
portcullis try                                                       # a registry of your own, and what to type next
portcullis try --keep play
portcullis demo --dir story                                          # keep what it made
portcullis completions bash > ~/.local/share/bash-completion/completions/portcullis
portcullis man --to man1                                             # a page a command
portcullis import gpt2 hf:openai-community/gpt2 --to gpt2-124m       # Hugging Face's safetensors
portcullis import 1558M openai:1558M --to gpt2-1.5b                  # OpenAI's files of 2019
portcullis import my-model ./folder --to my-model                    # either, from a folder
portcullis verify gpt2-124m
portcullis show gpt2-124m
portcullis seal gpt2-1.5b                                            # hands ciphertext and shares in, too
portcullis release gpt2-1.5b --stage partners --policy gpt2-1.5b.toml --agreement partners.md
portcullis release gpt2-1.5b --stage public                          # a later stage
portcullis catalogue init --from founding.toml --founding-code 4929a7ae72c58ea71c6df862bf5f3cbb
portcullis catalogue init --owner ada.card --owner ben.card --owner-threshold 2 --registry-card registry.card --board gpt2-1.5b=2:ada.card,ben.card
portcullis catalogue propose gpt2-1.5b --policy gpt2-1.5b.toml       # another policy
portcullis catalogue propose misuse --rules misuse.toml              # rules by which misuse is found; owners
portcullis catalogue propose gpt2-1.5b --withdraw                    # take the open proposal back
portcullis catalogue review                                          # what there is to sign, and its digest
portcullis catalogue sign gpt2-1.5b                                  # shows the change and asks
portcullis catalogue publish                                         # a folder's operator, daily
portcullis catalogue status                                          # stages, boards, expiries, proposals
portcullis catalogue rotate gpt2-1.5b --remove Cy --add dee.card     # another member
portcullis catalogue rotate root --threshold 3 --add pia.card        # another owner
portcullis catalogue organization add "Example Lab" --registrar remy.card    # who confirms its people; owners
portcullis catalogue organization remove "Example Lab" --registrar Remy
portcullis affiliation confirm rosa.card --organization "Example Lab" --days 365
portcullis affiliation withdraw rosa.card --organization "Example Lab" --reason "Left"
portcullis affiliation list
portcullis status                                                    # what is mine, what waits, what to type next
portcullis status --watch
portcullis list                                                      # what is on offer, and what I have
portcullis grant list
portcullis catalogue board add ethics --threshold 1 --member eve.card
portcullis catalogue refresh
portcullis catalogue root --to 1.root.json                           # the root of trust, to hand on
portcullis catalogue invite                                          # the same on one line, with a fingerprint
portcullis policy new gpt2-1.5b --organization "Example Lab"           # a policy to begin with, with comments
portcullis policy check gpt2-1.5b.toml
portcullis policy check next.toml --against gpt2-1.5b.toml          # may it follow that one
portcullis policy show gpt2-1.5b.toml
portcullis policy diff old.toml new.toml                             # who gains, who loses
portcullis policy simulate draft.toml --stage partners --requests requests.json
portcullis approve 3f2a9c                                            # shows the request and asks
portcullis deny 3f2a9c --reason "Not a use that the stage allows"
portcullis revoke 81be02 --reason "The weights were passed on"
portcullis handover gpt2-124m                                        # a public stage
portcullis request new gpt2-1.5b --terms                             # what the stage allows, and its agreement
portcullis request new gpt2-1.5b --purpose "How well do detectors do?" --use detection --days 90 --accept-agreement
portcullis request list --pending                                    # a member's queue
portcullis request show 3f2a9c
portcullis request withdraw 3f2a9c
portcullis request assign 3f2a9c                                     # assigned to you
portcullis grant show 81be02
portcullis grant verify 81be02                                       # take no one's word for it
portcullis pull gpt2-1.5b
portcullis pull gpt2-1.5b --mirror https://cdn.example/chunks
portcullis lease                                                     # renews all of yours
portcullis lease issue                                               # a folder's operator
portcullis run gpt2-1.5b "In a shocking finding,"
portcullis run ./gpt2-124m "The gate" --samples 3 --seed 7           # a folder of your own
portcullis serve gpt2-1.5b                                           # OpenAI's completions API on 127.0.0.1:8080
portcullis score ./gpt2-124m text.txt
portcullis bench gpt2-1.5b --quantize q8
portcullis export gpt2-124m --to gpt2                                # a public stage, for others' tools
portcullis usage show
portcullis usage sync
portcullis usage status
portcullis usage declare --reason "My laptop"
portcullis usage explain 12 --reason "Power was cut"
portcullis audit verify
portcullis audit bundle --to 2026.jsonl
portcullis audit report --format html --output report.html
portcullis audit key
portcullis case list --open
portcullis case show 3f2a9c
portcullis case open 81be02 --reason "Reported by mail"
portcullis case assign 3f2a9c
portcullis case comment 3f2a9c "Asked them by mail"
portcullis case decide 3f2a9c suspend --days 14 --reason "Until they answer"
portcullis case appeal 3f2a9c --reason "It was our own text"
portcullis misuse check misuse.toml
portcullis misuse test text.txt                                      # which rules a text would meet
portcullis witness init witness --name witness.example/1
portcullis registry init registry --name "Example registry"
portcullis registry init registry --new-founding-code                # the one before is lost
portcullis registry serve registry
portcullis registry backup registry --to monday.jsonl
portcullis registry restore registry --from monday.jsonl
portcullis answer                                                    # a folder's operator: public stages
"##;

/// The same tree, whose commands show their examples behind their help.
pub(super) fn add_examples(command: Command) -> Command {
    let path = command.get_name().to_owned();
    add(command, &path)
}

fn add(command: Command, path: &str) -> Command {
    let below: Vec<_> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let deeper: Vec<_> = below.iter().map(|name| format!("{path} {name}")).collect();
    let own = EXAMPLES
        .lines()
        .filter(|line| is_example_of(line, path) && !deeper.iter().any(|path| is_example_of(line, path)));
    let mut shown = String::new();
    for line in own.filter(|_| path.contains(' ')) {
        // Writing to a string cannot fail.
        let _ = write!(shown, "{}  {line}", if shown.is_empty() { "Examples:\n" } else { "\n" });
    }
    let command = if shown.is_empty() { command } else { command.after_help(shown) };
    below
        .into_iter()
        .zip(deeper)
        .fold(command, |command, (name, path)| command.mut_subcommand(name, |below| add(below, &path)))
}

fn is_example_of(line: &str, path: &str) -> bool {
    line.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line as a shell would split it.
    fn words(line: &str) -> Vec<String> {
        let line = line.split("  #").next().unwrap().split(" > ").next().unwrap();
        let (mut words, mut is_quoted) = (vec![String::new()], false);
        for c in line.trim().chars() {
            match c {
                '"' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words
    }

    #[test]
    fn every_example_is_a_command_line_that_is_understood() {
        let command = crate::cli::command_line();
        for line in EXAMPLES.lines().filter(|line| !line.is_empty()) {
            if let Err(error) = command.clone().try_get_matches_from(words(line)) {
                panic!("{line}\n{error}");
            }
        }
    }

    #[test]
    fn every_command_has_an_example() {
        fn missing(command: &Command, path: &str, found: &mut Vec<String>) {
            let mut below = command.get_subcommands().filter(|below| !below.is_hide_set()).peekable();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            if below.peek().is_none() && !help.starts_with("Examples:\n  portcullis ") {
                found.push(path.to_owned());
            }
            below.for_each(|below| missing(below, &format!("{path} {}", below.get_name()), found));
        }
        let mut found = Vec::new();
        missing(&crate::cli::command_line(), "portcullis", &mut found);
        // What takes digests and keys of 64 digits has its example in the documentation.
        found.retain(|path| {
            !["portcullis witness serve", "portcullis registry erase"].contains(&path.as_str())
        });
        assert!(found.is_empty(), "no example of {found:?}");
    }
}
