// Furo keeps the reader's choice of a light or dark page here; its own inline script would break the policy.
document.body.dataset.theme = localStorage.getItem("theme") || "auto";
