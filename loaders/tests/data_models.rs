//! Models of the UAI competition, when `SLACKWATER_DATA` says where they are.

mod common;

use common::data;
use slackwater_loaders::format::uai::{FactorGraph, UaiTable, read_partition_function};
use slackwater_loaders::table::{Scan, TableSource};
use slackwater_loaders::{InputFile, ReadLimits};

/// Variables, factors, largest cardinality and evidence: as in the index.
#[test]
fn models_and_evidence() {
    let Some(data) = data() else { return };
    for (name, variables, factors, largest, evidence) in [
        ("uai2014_mar/CSP_11.uai", 82, 462, 4, 0),
        ("uai2014_mar/DBN_11.uai", 40, 440, 2, 0),
        ("uai2014_mar/DBN_12.uai", 42, 483, 2, 0),
        ("uai2014_mar/Grids_11.uai", 100, 300, 2, 0),
        ("uai2014_mar/Grids_12.uai", 100, 280, 2, 0),
        ("uai2014_mar/Grids_13.uai", 100, 300, 2, 0),
        ("uai2014_mar/Grids_14.uai", 100, 300, 2, 0),
        ("uai2014_mar/Pedigree_11.uai", 385, 385, 3, 37),
        ("uai2014_mar/Promedus_11.uai", 461, 461, 2, 8),
        ("uai2014_mar/Promedus_12.uai", 534, 534, 2, 3),
        ("uai2014_mar/Segmentation_11.uai", 228, 845, 2, 0),
        ("uai2014_mar/Segmentation_12.uai", 229, 851, 2, 0),
        ("uai2014_mar/Segmentation_13.uai", 235, 882, 2, 0),
        ("uai2014_mar/linkage_11.uai.gz", 1077, 1077, 3, 0),
        ("uai2014_pe_bn/BN_69.uai.gz", 777, 777, 36, 0),
        ("uai2014_pe_bn/BN_71.uai.gz", 1740, 1740, 36, 0),
    ] {
        let file = |name: &str| InputFile::from_path(data.join(name)).expect("the file");
        let model = FactorGraph::read(&file(name), ReadLimits::default()).unwrap_or_else(|e| panic!("{e}"));
        let evid = format!("{}.evid", name.strip_suffix(".gz").unwrap_or(name));
        let model =
            model.with_evidence(&file(&evid), ReadLimits::default()).unwrap_or_else(|e| panic!("{e}"));
        let max = model.cardinalities.iter().copied().max();
        assert_eq!(
            (model.cardinalities.len(), model.factors.len(), max, model.evidence.len()),
            (variables, factors, Some(largest), evidence),
            "{name}"
        );
        let table = UaiTable::open(&[file(name)], ReadLimits::default());
        let mut reader = table.open(0, &Scan { columns: Some(vec![0]), ..Scan::default() }).expect(name);
        let batch = reader.next_batch(&mut |bad| Err(bad.into())).expect(name).expect("factors");
        assert_eq!(batch.num_rows(), factors, "{name}");
    }
    for name in ["BN_69", "BN_71"] {
        let file = InputFile::from_path(data.join(format!("uai2014_pe_bn/{name}.uai.PR"))).expect(name);
        assert_eq!(read_partition_function(&file, ReadLimits::default()).expect(name), 0.0);
    }
}
