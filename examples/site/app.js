const answer = await fetch("/api/birds");
document.body.textContent = (await answer.json()).join(", ");
