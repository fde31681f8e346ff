//! `gate`: enough people, judged by the trust root once more, and time.

use super::Acting;
use crate::engine::content;
use crate::error::{Error, Result};
use crate::step::{Gate, Outcome};

pub(super) fn gate(acting: &Acting<'_>, step: &Gate) -> Result<Outcome> {
    let now = acting.effects.clock.now();
    if let Some(at) = step.not_before.filter(|at| *at > now) {
        return Err(Error::transient(format!("the embargo ends at {at}")));
    }
    let content = content::content(&acting.state, acting.train.objects(), step)?;
    let judgement = content::judge(&acting.state, acting.train, &content, now)?;
    let approved_by = judgement
        .require()
        .map_err(|e| e.hint("people approve with `lifeboat approve --as NAME`; `lifeboat status` shows who did"))?;
    Ok(Outcome::GateOpened { content: content.digest()?, approved_by })
}
