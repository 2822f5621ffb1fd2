"""What every manifest of Hearth keeps to: pure functions from rendered objects to findings, one function a rule."""
