//! How an answer about the record is to look, as the flags of its command say.

use std::io::{self, BufWriter, IsTerminal as _, Stdout};

use crate::view::{AnswerFormat, Screen};

/// How an answer looks.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputOptions {
    /// How the answer looks
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) format: AnswerFormat,

    #[command(flatten)]
    screen: ScreenOptions,
}

/// What people see it on.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct ScreenOptions {
    /// Whether there are colours: on a terminal, unless NO_COLOR is set; or always, or never
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,

    /// Cut lines at this width [default: that of the terminal; elsewhere lines are whole]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(1..))]
    width: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl OutputOptions {
    /// What people see it on.
    pub(super) fn screen(self) -> Screen {
        self.screen.screen()
    }
}

impl ScreenOptions {
    /// What people see it on.
    pub(super) fn screen(self) -> Screen {
        let is_terminal = io::stdout().is_terminal();
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let has_colours = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let is_dumb = set("TERM").is_none_or(|term| term == "dumb");
                is_terminal && !is_dumb && set("NO_COLOR").is_none()
            }
        };
        let width = match self.width {
            Some(width) => Some(usize::from(width)),
            None if is_terminal => {
                terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
            }
            None => None,
        };
        Screen { width, has_colours }
    }
}

/// Standard output, for answers of many lines. Whoever writes flushes.
pub(super) fn standard_output() -> BufWriter<Stdout> {
    BufWriter::new(io::stdout())
}
