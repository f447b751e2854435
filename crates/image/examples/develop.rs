//! Makes one variant: `develop SOURCE OPTIONS OUTPUT [refined]`. `OPTIONS` is what stands in a URL (`w=400,fit=cover,h=300`; `-`
//! is none), the output's ending is its format. With no arguments it takes jobs from its input, one a line, the fields
//! parted by tabs, and answers each with a line: `ok WIDTH HEIGHT`, or `error` and why.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "its user sees the message")]

use std::{
    env, fs,
    io::{BufRead as _, Write as _, stdin, stdout},
    path::Path,
    process::ExitCode,
};

use lightmeter_image::{
    Cancel, Effort, Extras, Settings, develop, format::OutputFormat, options::parse_segment, probe,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if !arguments.is_empty() {
        let fields: Vec<&str> = arguments.iter().map(String::as_str).collect();
        return match run(&fields) {
            Ok(said) => {
                println!("{said}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    for line in stdin().lock().lines() {
        let line = line.expect("lines of text");
        let fields: Vec<&str> = line.split('\t').collect();
        let answer = run(&fields).unwrap_or_else(|error| format!("error {error}"));
        println!("{answer}");
        stdout().flush().expect("somebody reads");
    }
    ExitCode::SUCCESS
}

fn run(fields: &[&str]) -> Result<String, String> {
    let (source, options, output, effort) = match fields {
        [source, options, output] => (source, options, output, Effort::FirstView),
        [source, options, output, "refined"] => (source, options, output, Effort::Refined),
        _ => return Err("expected: SOURCE OPTIONS OUTPUT [refined]".to_owned()),
    };
    let bytes = fs::read(source).map_err(|error| format!("{source}: {error}"))?;
    let transform = match *options {
        "-" => Default::default(),
        options => parse_segment(options).map_err(|error| error.to_string())?.canonical().0,
    };
    let format = output_format(output).ok_or_else(|| format!("{output}: expected .avif, .webp, .jpg or .png"))?;
    let settings = Settings::default();
    let found = probe(&bytes).map_err(|error| error.to_string())?;
    let made = develop(&bytes, &found, &transform, format, &settings, effort, &Cancel::default(), &Extras::default())
        .map_err(|error| error.to_string())?;
    fs::write(output, &made.bytes).map_err(|error| format!("{output}: {error}"))?;
    Ok(format!("ok {} {}", made.width, made.height))
}

fn output_format(path: &str) -> Option<OutputFormat> {
    match Path::new(path).extension()?.to_str()? {
        "avif" => Some(OutputFormat::Avif),
        "webp" => Some(OutputFormat::WebP),
        "jpg" | "jpeg" => Some(OutputFormat::Jpeg),
        "png" => Some(OutputFormat::Png),
        _ => None,
    }
}
