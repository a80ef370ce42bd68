// SPDX-License-Identifier: GPL-2.0
//! Kernel reports in a log, from `cut here` to `end trace`.

/// The IOMMU core's warning about a client that it first probes when a driver is bound to it.
pub const LATE_PROBE: &str = "late IOMMU probe at driver bind, something fishy here!";

/// Splits `log` into its reports and the remaining lines.
pub fn split(log: &str) -> (Vec<String>, String) {
    const BEGIN: &str = "[ cut here ]";
    const END: &str = "[ end trace ";
    let (mut reports, mut rest) = (Vec::new(), String::new());
    let mut lines = log.split_inclusive('\n');
    while let Some(line) = lines.next() {
        if !line.contains(BEGIN) {
            rest.push_str(line);
            continue;
        }
        let mut report = line.to_owned();
        for line in lines.by_ref() {
            report.push_str(line);
            if line.contains(END) {
                break;
            }
        }
        reports.push(report);
    }
    (reports, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_taken_out() {
        let report =
            |what: &str| format!("<4>---[ cut here ]---\n<4>{what}\n<4>---[ end trace 0 ]---\n");
        let (one, two) = (report("a"), report("b"));
        let (reports, rest) = split(&format!("{one}<6>one\n{two}<6>two\n"));
        assert_eq!(reports, [one, two]);
        assert_eq!(rest, "<6>one\n<6>two\n");
    }
}
