// SPDX-License-Identifier: GPL-2.0

//! A picture of a growth: two lines, over numbers that double.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::Growth;

/// Width and height, in pixels.
const SIZE: (u32, u32) = (640, 360);
/// The colours of the two sides, which differ in brightness too.
const COLOURS: [RGBColor; 2] = [RGBColor(0x99, 0x99, 0x99), RGBColor(0xb0, 0x3a, 0x1e)];

/// Draws it into an SVG file.
pub fn draw(growth: &Growth, path: &Path) -> Result<()> {
    draw_to(growth, SVGBackend::new(path, SIZE))
        .map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

type Drawing = Result<(), Box<dyn std::error::Error>>;

fn draw_to(growth: &Growth, backend: SVGBackend<'_>) -> Drawing {
    let area = backend.into_drawing_area();
    area.fill(&WHITE)?;
    let most = growth.points.iter().flat_map(|(_, values)| values);
    let most = most.copied().fold(1.0, f64::max) * 1.1;
    let last = growth.points.len().saturating_sub(1) as f64;
    let mut chart = ChartBuilder::on(&area)
        .caption(growth.title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(-0.1..last + 0.1, 0.0..most)?;
    let label = |place: &f64| {
        let point = growth.points.get(place.round() as usize);
        let is_there = (place - place.round()).abs() < 0.01;
        match point {
            Some((count, _)) if is_there => count.to_string(),
            _ => String::new(),
        }
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(growth.points.len())
        .x_label_formatter(&label)
        .x_desc(growth.of)
        .y_label_formatter(&|value| format!("{value:.0}"))
        .draw()?;
    for (side, colour) in COLOURS.into_iter().enumerate() {
        let line = growth.points.iter().enumerate();
        let line = line.map(|(place, (_, values))| (place as f64, values[side]));
        chart
            .draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))?
            .label(growth.sides[side])
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        chart.draw_series(line.map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_both_names_and_every_number() {
        let growth = Growth {
            name: "vcpus",
            title: "Memory",
            of: "vCPUs",
            sides: ["first", "second"],
            points: vec![(1, [10.0, 20.0]), (2, [20.0, 25.0]), (16, [40.0, 30.0])],
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("growth.svg");
        draw(&growth, &path).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let words: Vec<&str> = text.lines().map(str::trim).collect();
        for word in ["first", "second", "vCPUs", "Memory", "1", "2", "16"] {
            assert!(words.contains(&word), "{word} is missing");
        }
        assert_eq!(text.matches("<circle").count(), 6);
    }
}
