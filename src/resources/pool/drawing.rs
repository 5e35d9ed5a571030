//! A pool as a picture: a bar for each slab, its blocks in the colours of their owners.

use std::collections::BTreeMap;
use std::sync::Arc;

use svg::Document;
use svg::node::element::{Group, Path, Rectangle, Text, Title, path::Data};

use super::map::{BlockMap, PoolMap, SlabMap};

const WIDTH: u32 = 1_200;
/// Where the bars begin; their names stand before it.
const LEFT: u32 = 330;
const BAR: f64 = 850.0;
const ROW: u32 = 20;
const BAR_HEIGHT: u32 = 14;
const FREE: &str = "#eeeeee";
const WAITING: &str = "#777777";
const LEFT_OVER: &str = "#ffb3b3";
/// Told apart by the colour-blind too (Okabe and Ito's, then darker ones of the same hues). Owners beyond share the last.
const COLOURS: [&str; 13] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#004d7a", "#9c6b00", "#00664a",
    "#8c4a70", "#8f3f00", "#b8b8b8",
];

impl PoolMap {
    /// As an SVG picture: each slab is a bar of the same length, cut into its cells. A block has its owner's colour, paler where its cell is larger
    /// than what was asked for, with an outline if it is pinned; grey waits for the GPU; red is left over behind
    /// the last cell. Hovering over it names owner and bytes.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let colours = self.colours();
        let legend_rows = colours.len() as u32 + 3;
        let slabs = self.heaps.iter().map(|heap| heap.slabs.len() as u32 + 1).sum::<u32>();
        let height = (slabs + legend_rows + 3) * ROW;
        let mut document = Document::new()
            .set("viewBox", (0, 0, WIDTH, height))
            .set("width", WIDTH)
            .set("height", height)
            .set("font-family", "system-ui, sans-serif")
            .set("font-size", 12)
            .add(Rectangle::new().set("width", WIDTH).set("height", height).set("fill", "#ffffff"));
        let mut y = ROW;
        document = document.add(line(10, y, &format!("{}: {}", self.name, self.stats)));
        for heap in &self.heaps {
            y += ROW;
            document = document.add(line(10, y, &format!("{:?}", heap.usage)).set("font-weight", "bold"));
            for slab in &heap.slabs {
                y += ROW;
                document = document.add(bar(slab, y, &colours));
            }
        }
        y += ROW;
        for (owner, (colour, bytes)) in &colours {
            y += ROW;
            document = document.add(key(y, colour)).add(line(30, y, &format!("{owner}: {bytes} bytes")));
        }
        for (colour, meaning) in
            [(WAITING, "waits for the GPU"), (LEFT_OVER, "left over behind the last cell"), (FREE, "free")]
        {
            y += ROW;
            document = document.add(key(y, colour)).add(line(30, y, meaning));
        }
        document.to_string()
    }

    /// The colour of each owner, the first ones for those with most bytes, and those bytes.
    fn colours(&self) -> BTreeMap<Arc<str>, (&'static str, u64)> {
        let mut owners: Vec<_> = self.owners().into_iter().collect();
        owners.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let colour = |index: usize| COLOURS[index.min(COLOURS.len() - 1)];
        owners.into_iter().enumerate().map(|(index, (owner, bytes))| (owner, (colour(index), bytes))).collect()
    }
}

fn bar(slab: &SlabMap, y: u32, colours: &BTreeMap<Arc<str>, (&'static str, u64)>) -> Group {
    let top = y - BAR_HEIGHT + 3;
    let used = slab.blocks.len() + slab.waiting_cells.len();
    let emptied = if slab.draining { ", being emptied" } else { "" };
    let name = format!("slab {}: {used} of {} × {} bytes{emptied}", slab.number, slab.cells, slab.cell_bytes);
    let ground = Rectangle::new().set("x", LEFT).set("y", top).set("width", BAR).set("height", BAR_HEIGHT);
    let mut group = Group::new().add(line(10, y, &name)).add(ground.set("fill", FREE));
    let mut owners: BTreeMap<&Arc<str>, Vec<&BlockMap>> = BTreeMap::new();
    for block in &slab.blocks {
        owners.entry(&block.owner).or_default().push(block);
    }
    for (owner, blocks) in owners {
        let colour = colours.get(owner).map_or(COLOURS[COLOURS.len() - 1], |(colour, _)| colour);
        let cells = area(slab, top, blocks.iter().map(|block| (block.offset, slab.cell_bytes)));
        let asked = area(slab, top, blocks.iter().map(|block| (block.offset, block.bytes)));
        let pinned =
            area(slab, top, blocks.iter().filter(|block| block.pinned).map(|block| (block.offset, slab.cell_bytes)));
        let bytes: u64 = blocks.iter().map(|block| block.bytes).sum();
        let title = plain(&format!("{owner}: {} blocks, {bytes} bytes asked for", blocks.len()));
        group = group
            .add(path(cells, colour).set("fill-opacity", 0.4))
            .add(path(asked, colour).add(Title::new(title)))
            .add(path(pinned, "none").set("stroke", "#000000"));
    }
    let waiting = slab.waiting_cells.iter().map(|&cell| (u64::from(cell) * slab.cell_bytes, slab.cell_bytes));
    let cells = slab.cell_bytes * u64::from(slab.cells);
    let left_over = std::iter::once((cells, slab.bytes - cells)).filter(|&(_, bytes)| bytes > 0);
    group.add(path(area(slab, top, waiting), WAITING)).add(path(area(slab, top, left_over), LEFT_OVER))
}

/// What those bytes of a slab cover; neighbours are one.
#[expect(clippy::cast_precision_loss, reason = "a picture")]
fn area(slab: &SlabMap, top: u32, ranges: impl Iterator<Item = (u64, u64)>) -> Data {
    let scale = BAR / slab.bytes.max(1) as f64;
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (offset, bytes) in ranges {
        match merged.last_mut() {
            Some((begin, length)) if *begin + *length == offset => *length += bytes,
            _ => merged.push((offset, bytes)),
        }
    }
    merged.into_iter().fold(Data::new(), |data, (offset, bytes)| {
        let (x, width) = (f64::from(LEFT) + offset as f64 * scale, bytes as f64 * scale);
        let data = data.move_to((rounded(x), top)).horizontal_line_by(rounded(width));
        data.vertical_line_by(BAR_HEIGHT).horizontal_line_by(-rounded(width)).close()
    })
}

/// To a hundredth of a pixel.
#[expect(clippy::cast_possible_truncation, reason = "a picture")]
fn rounded(pixels: f64) -> f32 {
    ((pixels * 100.0).round() / 100.0) as f32
}

fn path(data: Data, fill: &str) -> Path {
    Path::new().set("d", data).set("fill", fill)
}

fn line(x: u32, y: u32, text: &str) -> Text {
    Text::new(plain(text)).set("x", x).set("y", y)
}

fn key(y: u32, colour: &str) -> Rectangle {
    Rectangle::new().set("x", 10).set("y", y - 11).set("width", 14).set("height", 12).set("fill", colour)
}

/// Without what XML does not allow.
fn plain(text: &str) -> String {
    text.replace(|character: char| character.is_control() || matches!(character, '\u{FFFE}' | '\u{FFFF}'), " ")
}
