//! What a partition does in a clock: first the codes move, then the components.

use super::Start;
use super::layout::{Layout, Slots};
use super::seat::{Letter, Numbers, Seat, Work, add_products, mirror};
use crate::decomposition::lasso::Lasso;
use crate::linalg::dense::{axpy, dot};
use crate::linalg::gemm::{Matrix, Write, gemm};
use crate::linalg::widest;
use crate::objective::RowSlice;
use slackwater_dataflow::block::Row;
use slackwater_paramstore::Clock;
use std::mem::take;
use std::sync::Arc;

/// Operations from one look of the worker at its other duties to the next, about.
const PIECE: usize = 1 << 21;
/// Rows that have this share of the values of all slots are multiplied as a dense matrix,
const DENSE_SHARE: f64 = 0.3;
/// of so many values at a time, about,
const DENSE_VALUES: usize = 1 << 17;
/// but of so many rows at least.
const DENSE_ROWS_MIN: usize = 16;

/// When the codes of a row are good enough.
#[derive(Debug, Clone, Copy)]
pub(in crate::decomposition) enum Until {
    /// After so many passes of coordinate descent.
    Passes(usize),
    /// When the duality gap is at most this share of the row's squared length.
    Gap(f64),
}

/// How the codes of a row move: nearer to `min ½‖x - uV‖² + l1 ‖u‖₁ + ½ l2 ‖u‖²`.
#[derive(Debug, Clone, Copy)]
pub(in crate::decomposition) struct CodeMove {
    pub until: Until,
    pub l1: f64,
    pub l2: f64,
    pub non_negative: bool,
}

/// How components move.
#[derive(Debug, Clone, Copy)]
pub(in crate::decomposition) enum ComponentMove {
    /// Each column by itself, as the codes of a row, to values of at least 0.
    Columns { passes: usize, l1: f64, l2: f64 },
    /// Each component as a whole, to the best one of at most this length, one after the other.
    Ball { length: f64, non_negative: bool },
}

impl ComponentMove {
    /// Clocks that it takes: lengths are known a clock after a component has moved.
    pub fn clocks(self, rank: usize) -> u64 {
        match self {
            ComponentMove::Columns { .. } => 1,
            ComponentMove::Ball { .. } => rank as u64 + 1,
        }
    }
}

/// What all clocks need to know.
pub(super) struct Alternation {
    pub rank: usize,
    pub code_move: CodeMove,
    pub component_move: ComponentMove,
    /// Products of the first components.
    pub gram: Vec<f64>,
    pub start: Start,
    pub layout: Arc<Layout>,
}

impl Alternation {
    /// What a partition does in a clock, or a piece of it.
    pub fn run(&self, seat: &mut Seat, blocks: &[RowSlice], clock: &mut Clock) {
        let in_epoch = clock.number() % clock.clocks_per_epoch();
        let (is_first, step) = (seat.work.at == 0, in_epoch.saturating_sub(1) as usize);
        let rows = self.layout.rows(clock.partition());
        assert_eq!(
            seat.codes.len(),
            rows * self.rank,
            "the state is of other rows, or another number of components"
        );
        let is_done = match (in_epoch, self.component_move) {
            (0, _) => self.move_codes(seat, blocks, is_first, clock),
            (_, ComponentMove::Columns { passes, l1, l2 }) => {
                self.move_columns(seat, is_first, [l1, l2], passes, clock)
            }
            (_, ComponentMove::Ball { length, non_negative }) => {
                self.move_component(seat, is_first, step, (length, non_negative), clock)
            }
        };
        if !is_done {
            return clock.call_again();
        }
        (seat.work.at, seat.work.blocks) = (0, 0);
        clock.model_bytes(8 * seat.columns.len() as u64);
    }
    /// The solver of codes or columns whose products with each other are `gram`.
    fn solver(&self, mut gram: Vec<f64>, [l1, l2]: [f64; 2], non_negative: bool) -> Lasso {
        gram.iter_mut().step_by(self.rank + 1).for_each(|diagonal| *diagonal += l2);
        Lasso::new(gram, l1, non_negative)
    }
    /// A piece of the rows; true after the last.
    fn move_codes(&self, seat: &mut Seat, blocks: &[RowSlice], is_first: bool, clock: &mut Clock) -> bool {
        let (partition, rank) = (clock.partition(), self.rank);
        let (slots, work) = (&self.layout.slots[partition], &mut seat.work);
        if is_first {
            let gram = self.see_columns(slots, &mut work.seen, clock);
            let CodeMove { l1, l2, non_negative, .. } = self.code_move;
            work.solver = Some(self.solver(gram, [l1, l2], non_negative));
            clear(&mut work.products, slots.columns.len() * rank);
            clear(&mut work.square, rank * rank);
            clear(&mut work.of_one, rank);
            clock.loss(self.layout.half_squares[partition]);
        }
        clock.loss(widest(
            #[inline(always)]
            || self.some_codes(&mut seat.codes, work, slots, blocks),
        ));
        if work.at < self.layout.rows(partition) {
            return false;
        }
        mirror(&mut work.square, rank);
        let gram = Arc::new(Numbers(take(&mut work.square)));
        for to in 0..clock.partitions() {
            let products = slots.of_block(to);
            let products = Numbers(work.products[products.start * rank..products.end * rank].to_vec());
            clock.send(to, Letter::Sums { gram: gram.clone(), products });
        }
        true
    }
    /// Takes in the components where there are slots; returns their products with each other.
    fn see_columns(&self, slots: &Slots, seen: &mut Vec<f64>, clock: &mut Clock) -> Vec<f64> {
        let rank = self.rank;
        clear(seen, slots.columns.len() * rank);
        if clock.number() == 0 {
            for (seen, column) in seen.chunks_exact_mut(rank).zip(&slots.columns) {
                let component = |j| (self.start.components)(j, *column as usize);
                seen.iter_mut().enumerate().for_each(|(j, v)| *v = component(j));
            }
            return self.gram.clone();
        }
        let mut gram = vec![0.0; rank * rank];
        for (from, letter) in clock.mail() {
            let Letter::Columns { gram: of_block, values } = letter else {
                unreachable!("rows are told of columns")
            };
            axpy(1.0, &of_block.0, &mut gram);
            seen[slots.of_block(from).start * rank..][..values.0.len()].copy_from_slice(&values.0);
        }
        gram
    }
    /// Moves the codes of some blocks of rows; returns what they cost by themselves.
    #[inline(always)]
    fn some_codes(&self, codes: &mut [f64], work: &mut Work, slots: &Slots, blocks: &[RowSlice]) -> f64 {
        let (rank, by_column) = (self.rank, slots.by_column());
        let (mut cost, mut operations) = (0.0, 0);
        while work.blocks < blocks.len() && operations < PIECE {
            let rows: Vec<Row<'_>> = blocks[work.blocks].iter().map(|(_, row)| row).collect();
            work.blocks += 1;
            let stored: usize = rows.iter().map(|row| row.values.len()).sum();
            operations += rank * (4 * stored + 2 * rank * rows.len());
            let width = slots.columns.len();
            if stored as f64 >= DENSE_SHARE * (rows.len() * width) as f64 {
                for rows in rows.chunks((DENSE_VALUES / width.max(1)).max(DENSE_ROWS_MIN)) {
                    cost += self.dense_codes(codes, work, by_column, width, rows);
                }
                continue;
            }
            let Work { at, seen, products, square, of_one, rest, solver, .. } = &mut *work;
            let Some(solver) = solver else { return 0.0 };
            for row in rows {
                let codes = &mut codes[*at * rank..][..rank];
                of_one.fill(0.0);
                for (j, x) in row.indices.iter().zip(row.values) {
                    axpy(*x, &seen[by_column[*j as usize] as usize * rank..][..rank], of_one);
                }
                cost += self.move_row(solver, row, of_one, rest, codes);
                for (j, x) in row.indices.iter().zip(row.values) {
                    axpy(*x, codes, &mut products[by_column[*j as usize] as usize * rank..][..rank]);
                }
                add_products(codes, square);
                *at += 1;
            }
        }
        cost
    }
    /// Moves the codes of a row, whose products with components are given; returns what they cost by themselves.
    #[inline(always)]
    fn move_row(
        &self,
        solver: &Lasso,
        row: Row<'_>,
        products: &mut [f64],
        rest: &mut Vec<f64>,
        codes: &mut [f64],
    ) -> f64 {
        let CodeMove { until, l1, l2, .. } = self.code_move;
        match until {
            Until::Passes(passes) => solver.improve(products, codes, passes),
            Until::Gap(share) => {
                let square = dot(row.values, row.values);
                solver.approach(products, square, share * square, codes, rest);
            }
        }
        codes.iter().map(|u| l1 * u.abs() + 0.5 * l2 * u * u).sum()
    }
    /// Moves the codes of some rows that have values in most of the `width` slots; returns what they cost by themselves.
    #[inline(always)]
    fn dense_codes(
        &self,
        codes: &mut [f64],
        work: &mut Work,
        by_column: &[u32],
        width: usize,
        rows: &[Row<'_>],
    ) -> f64 {
        let Work { at, seen, products, square, rest, values, of_rows, solver, .. } = work;
        let (Some(solver), rank) = (solver, self.rank) else { return 0.0 };
        clear(values, rows.len() * width);
        for (values, row) in values.chunks_exact_mut(width.max(1)).zip(rows) {
            for (j, x) in row.indices.iter().zip(row.values) {
                values[by_column[*j as usize] as usize] = *x;
            }
        }
        clear(of_rows, rows.len() * rank);
        let all = Matrix::new(values, rows.len(), width);
        gemm(1.0, all, Matrix::new(seen, width, rank), Write::Replace, of_rows);
        let codes = &mut codes[*at * rank..][..rows.len() * rank];
        let mut cost = 0.0;
        for (k, row) in rows.iter().enumerate() {
            let codes = &mut codes[k * rank..][..rank];
            cost += self.move_row(solver, *row, &mut of_rows[k * rank..][..rank], rest, codes);
            add_products(codes, square);
        }
        gemm(1.0, all.transposed(), Matrix::new(codes, rows.len(), rank), Write::Add, products);
        *at += rows.len();
        cost
    }
    /// Takes in the sums over all rows, of the columns of a block.
    fn see_sums(&self, seat: &mut Seat, clock: &mut Clock) {
        let rank = self.rank;
        clear(&mut seat.gram, rank * rank);
        clear(&mut seat.products, seat.columns.len());
        clear(&mut seat.work.square, rank * rank);
        clear(&mut seat.work.of_one, rank);
        for (from, letter) in clock.mail() {
            let Letter::Sums { gram, products } = letter else { unreachable!("columns are told of sums") };
            axpy(1.0, &gram.0, &mut seat.gram);
            let places = self.layout.slots[from].places_in(clock.partition());
            for (place, of_column) in places.iter().zip(products.0.chunks_exact(rank)) {
                axpy(1.0, of_column, &mut seat.products[*place as usize * rank..][..rank]);
            }
        }
    }
    /// A piece of the columns of a block; true after the last.
    fn move_columns(
        &self,
        seat: &mut Seat,
        is_first: bool,
        penalties: [f64; 2],
        passes: usize,
        clock: &mut Clock,
    ) -> bool {
        if is_first {
            self.see_sums(seat, clock);
            seat.work.solver = Some(self.solver(seat.gram.clone(), penalties, true));
        }
        clock.loss(widest(
            #[inline(always)]
            || self.some_columns(seat, penalties[0], passes),
        ));
        seat.work.at * self.rank == seat.columns.len() && self.tell_columns(seat, clock)
    }
    /// Moves some columns, or none; returns what they make the objective.
    #[inline(always)]
    fn some_columns(&self, seat: &mut Seat, l1: f64, passes: usize) -> f64 {
        let (rank, Work { at, square, of_one, solver, .. }) = (self.rank, &mut seat.work);
        let Some(solver) = solver else { return 0.0 };
        let (mut objective, mut operations) = (0.0, 0);
        while *at * rank < seat.columns.len() && operations < PIECE {
            let column = &mut seat.columns[*at * rank..][..rank];
            let products = &seat.products[*at * rank..][..rank];
            of_one.copy_from_slice(products);
            solver.improve(of_one, column, passes);
            // With the rest r = p - Av that is ½ v'Av - p'v, the penalty of the diagonal of A among it.
            objective -= 0.5 * (dot(column, products) + dot(column, of_one));
            objective += l1 * column.iter().map(|v| v.abs()).sum::<f64>();
            add_products(column, square);
            *at += 1;
            operations += rank * rank * (passes + 2);
        }
        objective
    }
    /// What a block does in a step: gives the component of the step before its length and moves the next, or sums up after the
    /// last. True if it is done.
    fn move_component(
        &self,
        seat: &mut Seat,
        is_first: bool,
        step: usize,
        (length, non_negative): (f64, bool),
        clock: &mut Clock,
    ) -> bool {
        let rank = self.rank;
        if is_first && step == 0 {
            self.see_sums(seat, clock);
        } else if is_first {
            let square = |(_, letter)| match letter {
                Letter::Square(square) => square,
                _ => unreachable!("blocks are told of lengths"),
            };
            let is = clock.mail().into_iter().map(square).sum::<f64>().sqrt();
            if is > length {
                seat.columns.iter_mut().skip(step - 1).step_by(rank).for_each(|v| *v *= length / is);
            }
        }
        if step == rank {
            clock.loss(widest(
                #[inline(always)]
                || self.some_ends(seat),
            ));
            return seat.work.at * rank == seat.columns.len() && self.tell_columns(seat, clock);
        }
        let square = widest(
            #[inline(always)]
            || self.best_component(seat, step, non_negative),
        );
        (0..clock.partitions()).for_each(|to| clock.send(to, Letter::Square(square)));
        true
    }
    /// Moves a component to its best values, whatever its length becomes; returns the square of that, over the block.
    #[inline(always)]
    fn best_component(&self, seat: &mut Seat, j: usize, non_negative: bool) -> f64 {
        let (rank, mut square) = (self.rank, 0.0);
        let of_codes = &seat.gram[j * rank..][..rank];
        let columns = seat.columns.chunks_exact_mut(rank).zip(seat.products.chunks_exact(rank));
        for (column, products) in columns {
            // A component that no row uses stays as it is.
            if of_codes[j] > 0.0 {
                column[j] += (products[j] - dot(of_codes, column)) / of_codes[j];
            }
            if non_negative {
                column[j] = column[j].max(0.0);
            }
            square += column[j] * column[j];
        }
        square
    }
    /// Sums up some columns, or none; returns what they make the objective.
    #[inline(always)]
    fn some_ends(&self, seat: &mut Seat) -> f64 {
        let (rank, Work { at, square, .. }) = (self.rank, &mut seat.work);
        let (mut objective, mut operations) = (0.0, 0);
        while *at * rank < seat.columns.len() && operations < PIECE {
            let column = &seat.columns[*at * rank..][..rank];
            let products = &seat.products[*at * rank..][..rank];
            for (j, v) in column.iter().enumerate() {
                objective += v * (0.5 * dot(&seat.gram[j * rank..][..rank], column) - products[j]);
            }
            add_products(column, square);
            *at += 1;
            operations += 2 * rank * rank;
        }
        objective
    }
    /// Tells rows of the columns, at the end of an epoch; true.
    fn tell_columns(&self, seat: &mut Seat, clock: &mut Clock) -> bool {
        let rank = self.rank;
        mirror(&mut seat.work.square, rank);
        let gram = Arc::new(Numbers(take(&mut seat.work.square)));
        for (to, slots) in self.layout.slots.iter().enumerate() {
            let places = slots.places_in(clock.partition()).iter().map(|place| *place as usize * rank);
            let values = places.flat_map(|place| &seat.columns[place..place + rank]).copied().collect();
            clock.send(to, Letter::Columns { gram: gram.clone(), values: Numbers(values) });
        }
        // What is not needed any more need not be in snapshots.
        seat.gram.clear();
        seat.products.clear();
        true
    }
}

/// So many zeros.
fn clear(numbers: &mut Vec<f64>, length: usize) {
    numbers.clear();
    numbers.resize(length, 0.0);
}
